// SPDX-License-Identifier: Apache-2.0
// Who is calling: the peer that TLS has proven, and the address that its connection comes from. Any
// thread.
#pragma once

#include <grpcpp/server_context.h>

#include "absl/status/statusor.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::net {

struct Caller {
  proto::PeerId peer;
  proto::Endpoint address;      // of the TCP connection's other end; a relay's for relayed ones
  bool came_elsewhere = false;  // through a relay, say: the address need not be the peer's
};

// Only for servers of start_server(). Cheap.
absl::StatusOr<Caller> caller_of(const grpc::ServerContextBase& context);

// The front says whose connection gRPC is about to get; the number names it until another
// connection has the same. (gRPC closes a descriptor only after the last call on it.)
void set_caller(int descriptor, const Caller& caller);

}  // namespace shoal::net
