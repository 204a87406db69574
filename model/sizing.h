// SPDX-License-Identifier: Apache-2.0
// How many blocks, and how many KV positions, a node serves with the memory that it may take, on
// one device or on several. Blocks come first: a block that nobody serves stops everybody, a small
// cache only makes some wait. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_budget.h"
#include "model/memory_needs.h"
#include "model/weight_choice.h"

namespace shoal::model {

using base::MemoryBudget;
using base::MemoryLimit;

// Without --kv-positions a node keeps room for this many: 32 sessions of 2,048 positions.
inline constexpr std::int64_t kDefaultKvPositions = 65'536;
// And gives up none of this for another block: four sessions of 1,024 positions.
inline constexpr std::int64_t kLeastKvPositions = 4'096;
// Only for the very first block does it do with less: one short chat.
inline constexpr std::int64_t kFewestKvPositions = 512;

struct MemoryWishes {
  std::optional<std::uint32_t> blocks;       // --blocks
  std::optional<std::int64_t> kv_positions;  // --kv-positions
};

struct MemoryPlan {
  std::uint32_t blocks = 0;
  std::int64_t kv_positions = 0;      // whole pages
  std::vector<std::uint32_t> shares;  // of each device: blocks, in their order; may be 0
  std::string reason;                 // for the log: what was decided, and which limit decided it
};

// The blocks that fit, at most block_count, with at least kLeastKvPositions; then as many positions
// as fit, at most the default. RESOURCE_EXHAUSTED names the numbers, the limit and the way out when
// not even one block fits, or not what was wished for.
absl::StatusOr<MemoryPlan> plan_memory(const MemoryBudget& budget, const MemoryNeeds& needs,
                                       std::uint32_t block_count, const MemoryWishes& wishes);
// On devices that have a memory each: the blocks go to them as they have room for blocks, and all
// keep as many positions as the one that has room for fewest.
absl::StatusOr<MemoryPlan> plan_memory(std::span<const MemoryBudget> devices,
                                       const MemoryNeeds& needs, std::uint32_t block_count,
                                       const MemoryWishes& wishes);

struct WeightPlan {
  WeightChoice weights = WeightChoice::kStored;
  MemoryPlan plan;
  std::string reason;  // why this format: "q8 is ..."
};

// For --weights auto: the widest format in which all blocks fit that are wanted (wishes.blocks,
// else block_count), with at least kLeastKvPositions where nobody says how many. When there is
// none, the widest of those that hold most blocks, or most positions where all hold as many.
// `needs`: of each of kWeightChoices. Errors as plan_memory's for the last of them.
absl::StatusOr<WeightPlan> choose_weights(std::span<const MemoryBudget> devices,
                                          std::span<const MemoryNeeds> needs,
                                          std::uint32_t block_count, const MemoryWishes& wishes);

// What of a limit we plan with.
std::uint64_t usable_bytes(const MemoryLimit& limit, const MemoryNeeds& needs);

}  // namespace shoal::model
