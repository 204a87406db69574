// SPDX-License-Identifier: Apache-2.0
// A gRPC server with our limits (proto/limits.h) and keep-alive behind the front of a TCP port.
#pragma once

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>

#include <chrono>
#include <memory>
#include <vector>

#include "net/front.h"
#include "net/identity_tls.h"
#include "proto/endpoint.h"

namespace shoal::net {

struct RunningServer {
  std::unique_ptr<grpc::CallbackGenericService> nothing;  // of a server without services
  std::unique_ptr<grpc::Server> server;
  proto::Endpoint endpoint;      // with the chosen port
  std::unique_ptr<Front> front;  // goes before the server

  // Takes nothing new, gives calls so long to end, and has no server any more; the front keeps its
  // counts.
  void shut_down(std::chrono::milliseconds grace);
};

// ALREADY_EXISTS when the port is taken; the message names the address and the way out. `services`
// must outlive it; without any, every call is answered as unknown.
absl::StatusOr<RunningServer> start_server(const proto::Endpoint& listen,
                                           const identity::Identity& identity,
                                           const std::optional<identity::SwarmKey>& swarm_key,
                                           const std::vector<grpc::Service*>& services,
                                           const FrontOptions& options = {});

}  // namespace shoal::net
