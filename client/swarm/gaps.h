// SPDX-License-Identifier: Apache-2.0
// The blocks that nobody who answers serves, and what would close the gap. Pure functions of a
// view.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/swarm/swarm_view.h"
#include "proto/types.h"

namespace shoal::client {

// Of the weights of these blocks as they are stored; nullopt: it is not known.
std::optional<std::uint64_t> weight_bytes(const SwarmView& view, proto::Span span);

// "blocks 4..7 of 8 are served by nobody: one more node with 1.2 GB of memory for their weights
// would close the gap"; empty when every block is served.
std::string describe_gaps(const SwarmView& view);

}  // namespace shoal::client
