// SPDX-License-Identifier: Apache-2.0
// A gRPC server on one TCP port with our limits (proto/limits.h), keep-alive and credentials.
#pragma once

#include <grpcpp/server.h>

#include <memory>
#include <vector>

#include "net/identity_tls.h"
#include "proto/endpoint.h"

namespace shoal::net {

struct RunningServer {
  std::unique_ptr<grpc::Server> server;
  proto::Endpoint endpoint;  // with the chosen port
};

// ALREADY_EXISTS when the port is taken; the message names the address and the way out. `services`
// must outlive it.
absl::StatusOr<RunningServer> start_server(const proto::Endpoint& listen,
                                           const dht::Identity& identity,
                                           const std::optional<dht::SwarmKey>& swarm_key,
                                           const std::vector<grpc::Service*>& services);

}  // namespace shoal::net
