// SPDX-License-Identifier: Apache-2.0
#include "node/member/ports.h"

#include "net/directory_tunnels.h"

namespace shoal::node {

absl::StatusOr<Ports> open_ports(net::IoThread& io, const identity::Identity& identity,
                                 const dht::UdpServiceOptions& options,
                                 const std::vector<grpc::Service*>& services) {
  constexpr int kTries = 16;  // two programs rarely pick the same port; not 16 times in a row
  for (int attempt = 1;; ++attempt) {
    const auto tunnels =
        std::make_shared<net::DirectoryTunnels>(io.context(), identity, options.swarm_key);
    dht::UdpServiceOptions both = options;
    both.tunnels = tunnels;
    auto udp = dht::UdpService::open(io.context(), identity, both);
    if (!udp.ok()) return udp.status();
    Ports ports;
    ports.dht = std::move(*udp);
    // On a machine without IPv6, [::] has become 0.0.0.0.
    auto server =
        net::start_server(ports.dht->local_endpoint(), identity, options.swarm_key, services);
    if (server.ok()) {
      ports.server = std::move(*server);
      ports.server.front->open_door(net::kDirectoryProtocol, net::DirectoryTunnels::door(tunnels));
      return ports;
    }
    io.run_and_wait([&] { ports.dht.reset(); });
    const bool again =
        options.listen.port == 0 && server.status().code() == absl::StatusCode::kAlreadyExists;
    if (!again || attempt == kTries) return server.status();
  }
}

}  // namespace shoal::node
