// SPDX-License-Identifier: Apache-2.0
// Measures what nodes claim: two steps of one row through the whole span of each, in a session of
// its own, all at once. Blocks the caller up to kAuditionTime; leaves no session behind.
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "client/swarm/peer_memory.h"
#include "client/swarm/route.h"
#include "proto/types.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::client {

inline constexpr std::chrono::milliseconds kAuditionTime{1'000};

// Those whose claim is out of the ordinary, and of whom nothing is known yet: they would draw all
// routes if they were believed, and none if they were not.
std::vector<Candidate> worth_hearing(const std::vector<Candidate>& candidates,
                                     const PeerMemory& memory, PeerMemory::Time now);

// Microseconds for one row through one block, or why there is no such number.
std::map<proto::PeerId, absl::StatusOr<double>> audition(const std::vector<Candidate>& candidates,
                                                         const proto::Digest& model,
                                                         std::uint32_t hidden,
                                                         net::ChannelPool& channels,
                                                         const base::StopToken& interrupt);

}  // namespace shoal::client
