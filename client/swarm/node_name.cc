// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/node_name.h"

#include "dht/told_place.h"

namespace shoal::client {

std::string name_of_node(const proto::PeerId& peer, std::span<const proto::Address> addresses) {
  const std::string name = "node " + proto::short_name(peer);
  return addresses.empty() ? name : name + " " + dht::at_told_place(addresses);
}

}  // namespace shoal::client
