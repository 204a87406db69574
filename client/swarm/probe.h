// SPDX-License-Identifier: Apache-2.0
// Asks the nodes of a view for themselves, all at once: who answers, how far away, and how busy
// right now. Blocks the caller up to its deadline; leaves no call behind.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <vector>

#include "base/stop_token.h"
#include "client/swarm/route.h"
#include "client/swarm/swarm_view.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::client {

inline constexpr std::chrono::milliseconds kProbeTimeout{4'000};
// Candidates for each block that are asked: enough to choose from, and no flood in a large swarm.
inline constexpr int kProbesPerBlock = 6;

struct ProbeResult {
  std::vector<Candidate> candidates;           // by peer
  std::map<proto::PeerId, absl::Status> lost;  // why a node is not among them; a sentence
};

// The nodes worth asking: online, at most about kProbesPerBlock for each block, quick ones first.
// With `kinds` as many again of those that compute otherwise. With `remote_ends` a node counts for
// the blocks that it can run of a session whose ends nodes compute (span_with_ends).
std::vector<NodeView> worth_asking(const SwarmView& view, const std::set<proto::PeerId>& excluded,
                                   const BlockKinds& kinds = {}, bool remote_ends = false);

// Stops waiting for stragglers once the answers cover all blocks of the view; those of the `kinds`
// have a little longer.
ProbeResult probe(const SwarmView& view, const std::set<proto::PeerId>& excluded,
                  const BlockKinds& kinds, net::ChannelPool& channels,
                  const base::StopToken& interrupt, bool remote_ends = false);

}  // namespace shoal::client
