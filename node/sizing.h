// SPDX-License-Identifier: Apache-2.0
// How many blocks, and how many KV positions, fit into this machine's free memory. Pure but for
// available_memory().
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"

namespace shoal::node {

struct MemoryNeeds {
  std::uint64_t block_weight_bytes = 0;       // the largest block's, as stored
  std::uint64_t block_position_kv_bytes = 0;  // keys and values of one position in one block
};

// Without --kv-positions a node keeps room for this many: 32 sessions of 2,048 positions.
inline constexpr std::int64_t kDefaultKvPositions = 65'536;

// Blocks that fit with `kv_positions` of cache, at most block_count. RESOURCE_EXHAUSTED when not
// even one does, with the numbers.
absl::StatusOr<std::uint32_t> blocks_that_fit(std::uint64_t available_bytes, MemoryNeeds needs,
                                              std::int64_t kv_positions, std::uint32_t block_count);

// KV positions for a span of `blocks`: `wanted` when the user named a number (an error when they do
// not fit), else the default or what fits. Whole pages. RESOURCE_EXHAUSTED names the numbers and
// the way out.
absl::StatusOr<std::int64_t> kv_positions_that_fit(std::uint64_t available_bytes, MemoryNeeds needs,
                                                   std::uint32_t blocks,
                                                   std::optional<std::int64_t> wanted);

// Memory that this process may still take: the system's free and reclaimable memory or the control
// group's limit.
std::uint64_t available_memory();

}  // namespace shoal::node
