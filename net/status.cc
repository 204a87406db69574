// SPDX-License-Identifier: Apache-2.0
#include "net/status.h"

#include <fmt/format.h>

#include <span>
#include <string>

#include "net/bare_status.h"
#include "proto/limits.h"
#include "proto/printable.h"

namespace shoal::net {
namespace {

struct Translation {
  std::string_view grpc_says;
  std::string_view we_say;
};

constexpr std::string_view kStrange =
    "something listens there that is no node of this protocol. Check the port";
constexpr std::string_view kMute =
    "it takes the connection but does not answer in time. Check the port, and that the node is not "
    "stuck";
constexpr std::string_view kNoAnswer =
    "it did not answer in time. Check the address, and that a firewall lets TCP through";
constexpr std::string_view kClosed =
    "it closed the connection. The node stopped, or it refuses us: check that it runs, and that "
    "both sides have the same --swarm-key file";
constexpr std::string_view kSilent =
    "the connection went silent. The node was cut off, or its machine has stopped";
constexpr std::string_view kLeaving = "the node is shutting down";

// What gRPC 1.51 says when no connection came up, after kConnecting.
constexpr std::string_view kConnecting = "failed to connect to all addresses";
constexpr Translation kWhileConnecting[] = {
    {"Connection refused",
     "nothing listens there. Check that the node is running, and its address and port"},
    {"No route to host", "no route to that host. Check the address and the network"},
    {"etwork is unreachable", "that network cannot be reached from here. Check the address"},
    {"Address family not supported", "this machine does not speak that kind of address (IPv6?)"},
    {"tcp handshaker shutdown", kNoAnswer},
    // When a loaded machine sees its own shutdown of an attempt that ran out of time; a peer that
    // resets an attempt is "refused".
    {"Failed to connect to remote host: Connection reset by peer", kNoAnswer},
    {"Timeout occurred", kNoAnswer},
    {"onnection timed out", kNoAnswer},
    {"wrong version number", kStrange},
    {"Handshake read failed", kMute},
    {"Handshake timed out", kMute},
    {"Failed to create security handshaker",
     "our own certificate and key do not belong together. Check the identity file"},
    {"handshake failed",
     "no secure connection came up. Check that a node of this swarm listens there, and that both "
     "sides have the same --swarm-key file"},
    {"Socket closed", kClosed},
    {"Endpoint read failed", kClosed},
    {"onnection reset by peer", kClosed},
    {"Broken pipe", kClosed},
};
// And when one broke.
constexpr Translation kWhileConnected[] = {
    {"Socket closed", kClosed},
    {"Endpoint read failed", kClosed},
    {"recvmsg:Connection reset by peer", kClosed},
    {"sendmsg:Broken pipe", kClosed},
    {"Broken pipe", kClosed},
    {"keepalive watchdog timeout", kSilent},
    {"ping timeout", kSilent},
    {"GOAWAY received", kLeaving},
    {"Server shutting down", kLeaving},
    {"Cancelling all calls", kLeaving},
};

std::string clean(std::string_view text) { return proto::printable(text, proto::kMaxReasonBytes); }

absl::Status sentence(absl::StatusCode code, std::string_view context, std::string_view what) {
  return absl::Status(code,
                      context.empty() ? std::string(what) : fmt::format("{}: {}", context, what));
}

// Before the words of our own verifier (identity_tls.cc).
constexpr std::string_view kVerifierSays =
    "Custom verification check failed with error: UNAUTHENTICATED: ";

}  // namespace

absl::Status to_absl(const grpc::Status& status, std::string_view context) {
  if (status.ok()) return absl::OkStatus();
  const std::string& message = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    if (const std::size_t at = message.find(kVerifierSays);
        at != std::string::npos && message.starts_with(kConnecting)) {
      return sentence(absl::StatusCode::kUnauthenticated, context,
                      clean(std::string_view(message).substr(at + kVerifierSays.size())));
    }
    const bool connecting = message.starts_with(kConnecting);
    const std::span<const Translation> table =
        connecting ? std::span<const Translation>(kWhileConnecting) : kWhileConnected;
    for (const Translation& translation : table) {
      const std::size_t at = message.find(translation.grpc_says);
      // A broken connection's text is all there is; else the words are the peer's own.
      if (at == 0 || (connecting && at != std::string::npos)) {
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
  const std::string_view bare = sentence_for_bare(code, message);
  return sentence(code, context, bare.empty() ? clean(message) : std::string(bare));
}

grpc::Status to_grpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      clean(std::string_view(status.message().data(), status.message().size())));
}

}  // namespace shoal::net
