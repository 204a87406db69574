// SPDX-License-Identifier: Apache-2.0
// Which of this machine's addresses others can reach us at.
#pragma once

#include <span>
#include <vector>

#include "proto/endpoint.h"

namespace shoal::node {

// `bound` itself when it names an address. For 0.0.0.0 or [::]: the local address by which each
// peer of `join` is reached (127.0.0.1 in a swarm on loopback), else the addresses of all
// interfaces that are up, else loopback. At most 4; the port is bound's.
std::vector<proto::Endpoint> reachable_addresses(const proto::Endpoint& bound,
                                                 std::span<const proto::Endpoint> join);

// Whether a node that has joined by loopback should announce loopback: only when everybody else
// whom the swarm knows is on this machine too. In a swarm of nobody yet, others may come from
// elsewhere.
bool loopback_swarm(std::span<const proto::Endpoint> others);

}  // namespace shoal::node
