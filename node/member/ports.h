// SPDX-License-Identifier: Apache-2.0
// Opens a node's two sockets on one port number: UDP for the DHT, TCP for gRPC and for whoever
// reaches the DHT only so.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "dht/udp_service.h"
#include "net/io_thread.h"
#include "net/server.h"

namespace shoal::node {

struct Ports {
  std::unique_ptr<dht::UdpService> dht;
  net::RunningServer server;
};

// With port 0, tries until the system names a port that is free for both. `services` may be empty.
absl::StatusOr<Ports> open_ports(net::IoThread& io, const identity::Identity& identity,
                                 const dht::UdpServiceOptions& options,
                                 const std::vector<grpc::Service*>& services);

}  // namespace shoal::node
