// SPDX-License-Identifier: Apache-2.0
// Who is calling: the peer that TLS has proven, and the address that its connection comes from. Any
// thread.
#pragma once

#include <grpcpp/server_context.h>

#include <optional>

#include "absl/status/statusor.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::net {

struct Caller {
  proto::PeerId peer;
  // Of the TCP connection's other end; of relayed ones, as the relay tells it.
  proto::Endpoint address;
  bool came_elsewhere = false;  // through a relay, or by hole punching
  std::optional<proto::PeerId> relay = std::nullopt;
};

// What to count the caller's network by: its address; of relayed ones an unusable one that is the
// relay's alone, whatever it tells.
proto::Endpoint counted_address(const Caller& caller);

// Only for servers of start_server(). Cheap.
absl::StatusOr<Caller> caller_of(const grpc::ServerContextBase& context);

// The front says whose connection gRPC is about to get; the number names it until another
// connection has the same. (gRPC closes a descriptor only after the last call on it.)
void set_caller(int descriptor, const Caller& caller);

}  // namespace shoal::net
