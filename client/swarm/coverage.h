// SPDX-License-Identifier: Apache-2.0
// How well the blocks of a model are served, and what one more node would change. Pure functions of
// a view. Where the newcomer goes is the rule of placement (Petals' block selection), which nodes
// follow too.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "client/swarm/swarm_view.h"
#include "proto/types.h"

namespace shoal::client {

struct BlockService {
  std::uint32_t servers = 0;  // nodes that are online and not silent
  // Decode steps of one row a second, if the nodes did nothing else and took one at a time: of each
  // node those through its whole span.
  double tokens_s = 0;
  friend bool operator==(const BlockService&, const BlockService&) = default;
};
// [blocks]
std::vector<BlockService> coverage_of(const SwarmView& view);

// Maximal spans of blocks with so many servers.
std::vector<proto::Span> served_by(std::span<const BlockService> blocks, std::uint32_t servers);

// Of a whole model: its least served block, and its slowest.
BlockService weakest(std::span<const BlockService> blocks);

// The middle one of the nodes that have measured themselves; 0: none has.
double median_block_step_us(const SwarmView& view);

// Where a node that could hold `size` blocks would go: the window whose blocks' throughputs, sorted
// ascending, are lexicographically least; of equal ones the first. CHECKs 1 <= size <= blocks.
proto::Span thinnest_window(const SwarmView& view, std::uint32_t size);

struct Gain {
  proto::Span span;  // that the newcomer would serve
  BlockService before, after;
};
// size: blocks that it holds, more than the model has count as all of them.
Gain gain_of(const SwarmView& view, std::uint32_t size, double block_step_us);

}  // namespace shoal::client
