// SPDX-License-Identifier: Apache-2.0
#include "net/caller.h"

#include <optional>
#include <string>

#include "absl/strings/str_replace.h"

namespace shoal::net {
namespace {

std::optional<proto::PeerId> peer_of(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return std::nullopt;
  const auto names = auth->FindPropertyValues("x509_common_name");
  if (names.size() != 1) return std::nullopt;
  const auto bytes = proto::unhex(std::string_view(names[0].data(), names[0].size()));
  return bytes ? proto::PeerId::from_bytes(*bytes) : std::nullopt;
}

// "ipv4:127.0.0.1:7000" or "ipv6:%5B::1%5D:7000".
std::optional<proto::Endpoint> address_of(const std::string& peer) {
  if (!peer.starts_with("ipv4:") && !peer.starts_with("ipv6:")) return std::nullopt;
  const std::string text = absl::StrReplaceAll(peer.substr(5), {{"%5B", "["}, {"%5D", "]"}});
  const auto endpoint = proto::parse_endpoint(text);
  if (!endpoint.ok()) return std::nullopt;
  return *endpoint;
}

}  // namespace

absl::StatusOr<Caller> caller_of(const grpc::ServerContextBase& context) {
  const std::optional<proto::PeerId> peer = peer_of(context);
  const std::optional<proto::Endpoint> address = address_of(context.peer());
  if (!peer || !address)
    return absl::UnauthenticatedError("the caller has no verified certificate");
  return Caller{*peer, *address};
}

}  // namespace shoal::net
