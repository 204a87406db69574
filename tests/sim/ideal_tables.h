// SPDX-License-Identifier: Apache-2.0
// The start of large simulations: every peer knows random peers of each bucket, as many as it
// holds, all verified, as after hours of quiet. Pure function of the swarm's seed.
#pragma once

#include "tests/sim/swarm.h"

namespace shoal::sim {

// Contacts that a routing table keeps in the bucket of peers that share `prefix` bits with it.
std::size_t bucket_capacity(std::size_t prefix, std::size_t k);

// Fills the tables of `peers` with contacts drawn from `peers`.
void fill_ideal_tables(Swarm& swarm, const std::vector<PeerIndex>& peers);

}  // namespace shoal::sim
