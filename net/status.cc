// SPDX-License-Identifier: Apache-2.0
#include "net/status.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
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

constexpr std::string_view kMute =
    "it takes the connection but does not answer in time. Check the port, and that the node is not "
    "stuck";
constexpr std::string_view kNoAnswer =
    "it did not answer in time. Check the address, and that a firewall lets TCP through";
// Both ends of a connection prove their swarm, and each checks the other: who dials with a wrong
// key, or without one, has been told so by our own check before the other end hangs up.
constexpr std::string_view kHungUp =
    "it closed the connection. The node stopped, or it refuses us: check that it runs, and look "
    "into its log";
constexpr std::string_view kSilent =
    "the connection went silent. The node was cut off, or its machine has stopped";
constexpr std::string_view kRefused =
    "nothing listens there. Check that the node is running, and its address and port";
constexpr std::string_view kNoRoute = "no route to that host. Check the address and the network";
constexpr std::string_view kNoNetwork =
    "that network cannot be reached from here. Check the address";
constexpr std::string_view kNoFamily = "this machine does not speak that kind of address (IPv6?)";
constexpr std::string_view kNoDescriptors =
    "this program has too many files and connections open. Raise its limit (ulimit -n)";
constexpr std::string_view kLeaving = "the node is shutting down";

// What gRPC 1.51 says when a connection broke, and when there was no descriptor for one
// (dialer.cc).
constexpr Translation kGrpcSays[] = {
    {"failed to connect to all addresses", kNoDescriptors},
    {"Transport closed", kHungUp},
    {"Socket closed", kHungUp},
    {"recvmsg:Connection reset by peer", kHungUp},
    {"sendmsg:Broken pipe", kHungUp},
    {"Broken pipe", kHungUp},
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

absl::Status unavailable(std::string_view words) {
  return absl::UnavailableError(std::string(words));
}

}  // namespace

absl::Status to_absl(const grpc::Status& status, std::string_view context) {
  if (status.ok()) return absl::OkStatus();
  const std::string& message = status.error_message();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    for (const Translation& translation : kGrpcSays) {
      if (message.starts_with(translation.grpc_says)) {
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

absl::Status connect_failure(int error) {
  switch (error) {
    case ECONNREFUSED:
      return unavailable(kRefused);
    case EHOSTUNREACH:
    case EHOSTDOWN:
      return unavailable(kNoRoute);
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
      return unavailable(kNoNetwork);
    case EAFNOSUPPORT:
      return unavailable(kNoFamily);
    case ETIMEDOUT:
      return unavailable(kNoAnswer);
    case ECONNRESET:
    case EPIPE:
      return unavailable(kHungUp);
    case EMFILE:
    case ENFILE:
      return unavailable(kNoDescriptors);
    default:
      return absl::UnavailableError(
          fmt::format("cannot connect: {}. Check the address", std::strerror(error)));
  }
}

absl::Status mute_failure() { return unavailable(kMute); }

}  // namespace shoal::net
