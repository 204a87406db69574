// SPDX-License-Identifier: Apache-2.0
#include "net/status.h"

#include <fmt/format.h>

#include <string>

#include "proto/limits.h"

namespace shoal::net {
namespace {

struct Translation {
  std::string_view grpc_says;
  std::string_view we_say;
};

// Texts of gRPC 1.51, looked for in this order in the message of an UNAVAILABLE call.
constexpr Translation kTranslations[] = {
    {"Connection refused",
     "nothing listens there. Check that the node is running, and its address and port"},
    {"No route to host", "no route to that host. Check the address and the network"},
    {"Network is unreachable",
     "that network cannot be reached from here. Check the address and the network"},
    {"Address family not supported",
     "this machine cannot use that kind of address (IPv6?). Give another one"},
    {"Timeout occurred",
     "it did not answer in time. Check the address, and that a firewall lets TCP through"},
    {"Connection timed out",
     "it did not answer in time. Check the address, and that a firewall lets TCP through"},
    {"Handshake timed out",
     "something listens there, but does not speak Shoal's protocol. Check the port"},
    {"WRONG_VERSION_NUMBER",
     "something listens there, but does not speak Shoal's protocol. Check the port"},
    {"wrong version number",
     "something listens there, but does not speak Shoal's protocol. Check the port"},
    {"Failed to create security handshaker",
     "our own certificate and key do not belong together. Check the identity file"},
    {"andshake failed",
     "no secure connection came up. Check that a node of this swarm listens there, and that both "
     "sides have the same --swarm-key file"},
    {"keepalive", "the connection went silent. The node was cut off or its machine has stopped"},
    {"ping timeout", "the connection went silent. The node was cut off or its machine has stopped"},
    {"GOAWAY", "the node is closing its connections. It was stopped or restarted"},
    {"Server shutting down", "the node is shutting down"},
    {"Cancelling all calls", "the node is shutting down"},
    {"Socket closed",
     "it closed the connection. The node stopped, or it refuses us: check that it runs, and that "
     "both sides have the same --swarm-key file"},
    {"Connection reset by peer",
     "it closed the connection. The node stopped, or it refuses us: check that it runs, and that "
     "both sides have the same --swarm-key file"},
    {"Broken pipe",
     "it closed the connection. The node stopped, or it refuses us: check that it runs, and that "
     "both sides have the same --swarm-key file"},
};

// Fit for a terminal and a log: bounded, one line, no control characters.
std::string clean(std::string_view text) {
  std::string result(text.substr(0, proto::kMaxReasonBytes));
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return result;
}

absl::Status sentence(absl::StatusCode code, std::string_view context, std::string_view what) {
  return absl::Status(code, fmt::format("{}: {}", context, what));
}

// gRPC adds "; " and more after a verifier's own message in some versions; keep the sentence.
constexpr std::string_view kVerifierSays =
    "Custom verification check failed with error: UNAUTHENTICATED: ";

}  // namespace

absl::Status to_absl(const grpc::Status& status, std::string_view context) {
  if (status.ok()) return absl::OkStatus();
  const std::string& message = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    if (const std::size_t at = message.find(kVerifierSays); at != std::string::npos) {
      return sentence(absl::StatusCode::kUnauthenticated, context,
                      clean(std::string_view(message).substr(at + kVerifierSays.size())));
    }
    for (const Translation& translation : kTranslations) {
      if (message.find(translation.grpc_says) != std::string::npos) {
        return sentence(absl::StatusCode::kUnavailable, context, translation.we_say);
      }
    }
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return sentence(absl::StatusCode::kDeadlineExceeded, context,
                    "it did not answer in time. Check that the node is running and reachable");
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED && message.empty()) {
    return sentence(absl::StatusCode::kUnimplemented, context,
                    "it does not offer this call. Check that both sides run the same version");
  }
  const auto number = static_cast<int>(status.error_code());
  const auto code = number >= 1 && number <= 16 ? static_cast<absl::StatusCode>(number)
                                                : absl::StatusCode::kUnknown;
  const std::string text = clean(message);
  return sentence(code, context, text.empty() ? "failed without a reason" : text);
}

grpc::Status to_grpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      clean(std::string_view(status.message().data(), status.message().size())));
}

}  // namespace shoal::net
