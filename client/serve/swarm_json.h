// SPDX-License-Identifier: Apache-2.0
// The swarm as JSON, for the page and for programs (docs/gateway.md, "The swarm"). Pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "client/serve/gpu_growth.h"
#include "client/swarm/route.h"
#include "client/swarm/swarm_view.h"

namespace shoal::client {

// Blocks, how they are served, and each node.
nlohmann::ordered_json view_json(const SwarmView& view, std::uint64_t now_us);
// Equal routes count as one.
nlohmann::ordered_json routes_json(const std::vector<Route>& routes);
nlohmann::ordered_json growth_json(const GpuGrowth& growth);

}  // namespace shoal::client
