// SPDX-License-Identifier: Apache-2.0
#include "node/member/ports.h"

namespace shoal::node {

absl::StatusOr<Ports> open_ports(net::IoThread& io, const identity::Identity& identity,
                                 const dht::UdpServiceOptions& options,
                                 const std::vector<grpc::Service*>& services) {
  constexpr int kTries = 16;  // two programs rarely pick the same port; not 16 times in a row
  for (int attempt = 1;; ++attempt) {
    auto udp = dht::UdpService::open(io.context(), identity, options);
    if (!udp.ok()) return udp.status();
    Ports ports;
    ports.dht = std::move(*udp);
    // On a machine without IPv6, [::] has become 0.0.0.0.
    auto server =
        net::start_server(ports.dht->local_endpoint(), identity, options.swarm_key, services);
    if (server.ok()) {
      ports.server = std::move(*server);
      return ports;
    }
    io.run_and_wait([&] { ports.dht.reset(); });
    const bool again =
        options.listen.port == 0 && server.status().code() == absl::StatusCode::kAlreadyExists;
    if (!again || attempt == kTries) return server.status();
  }
}

}  // namespace shoal::node
