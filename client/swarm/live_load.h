// SPDX-License-Identifier: Apache-2.0
// What the nodes of a view say of themselves right now: records are up to a minute old. Asks all at
// once; blocks up to its deadline; leaves no call behind.
#pragma once

#include <chrono>
#include <vector>

#include "base/stop_token.h"
#include "client/swarm/swarm_view.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::client {

inline constexpr std::chrono::milliseconds kLiveLoadTimeout{3'000};

// Fills NodeView::live of every node that answers, and takes its offer and load from what it says;
// says in NodeView::silence why the others do not count. A second round of questions measures the
// way, where the first may pay for the connection.
void ask_for_load(std::vector<SwarmView>& views, net::ChannelPool& channels,
                  const base::StopToken& interrupt, int rounds = 1);

}  // namespace shoal::client
