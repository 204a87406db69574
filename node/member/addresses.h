// SPDX-License-Identifier: Apache-2.0
// Which of this machine's addresses a node announces, and in which order: those that others see
// first, the best of each family, and none that only leads to containers on this machine. Pure
// functions; net/interfaces.h reads the facts.
#pragma once

#include <span>
#include <vector>

#include "dht/observed_addresses.h"
#include "net/interfaces.h"
#include "proto/endpoint.h"

namespace shoal::node {

struct AddressFacts {
  proto::Endpoint bound;  // what we listen on, with the port; all of a machine, or one address
  std::vector<net::InterfaceAddress> interfaces;
  std::vector<net::Route> default_routes;  // at most one of each family
  std::vector<net::Route> join_routes;     // towards each address of --join
  std::vector<dht::ObservedAddress> observed;
  std::vector<proto::Endpoint> met;  // ours, at which other machines talk to us (any port)
  bool loopback_swarm = false;       // we joined by loopback, and everybody else is here, too
};

// At most four, the best first, both families where both are there; every one is_usable(). Never
// empty: a machine without a network still has loopback.
std::vector<proto::Endpoint> choose_addresses(const AddressFacts& facts);

// Whether a node that has joined by loopback should announce loopback: only when everybody else
// whom the swarm knows is on this machine too. In a swarm of nobody yet, others may come from
// elsewhere.
bool loopback_swarm(std::span<const proto::Endpoint> others);

}  // namespace shoal::node
