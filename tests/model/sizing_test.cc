// SPDX-License-Identifier: Apache-2.0
// Memory decides how many blocks a node serves when nobody names them: blocks before cache.
#include "model/sizing.h"

#include <gtest/gtest.h>

namespace shoal::model {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr MemoryNeeds kNeeds{.block_weight_bytes = 100 * kMiB, .block_position_kv_bytes = 1024};
// A model of 22 blocks as TinyLlama's: 84 MiB of weights and 2 KiB of cache for each.
constexpr MemoryNeeds kTiny{
    .block_weight_bytes = 84 * kMiB, .block_position_kv_bytes = 2048, .workspace_bytes = 34 * kMiB};

MemoryBudget own(std::uint64_t bytes) { return {{bytes, "a limit", false}, std::nullopt}; }
MemoryBudget shared(std::uint64_t bytes) {
  return {{bytes, "the free memory of this machine", true}, std::nullopt};
}

TEST(Sizing, BlocksComeBeforeCache) {
  // Three hosts of 1.5 GiB serve all of it; with room for the default cache they held 5 blocks
  // each.
  for (const auto& budget : {own(1536 * kMiB), shared(1536 * kMiB)}) {
    const auto plan = plan_memory(budget, kTiny, 22, {});
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_GE(plan->blocks, 12u);
    EXPECT_GE(plan->kv_positions, kLeastKvPositions);
    const std::uint64_t taken =
        plan->blocks *
        (kTiny.block_weight_bytes + 2048 * static_cast<std::uint64_t>(plan->kv_positions));
    EXPECT_LE(taken, usable_bytes(budget.all, kTiny));
  }
  EXPECT_GE(plan_memory(own(1536 * kMiB), kTiny, 22, {})->blocks, 13u);
}

TEST(Sizing, CacheTakesWhatBlocksLeaveUpToTheDefault) {
  EXPECT_EQ(plan_memory(own(20'000 * kMiB), kNeeds, 8, {})->kv_positions, kDefaultKvPositions);
  const auto plan = plan_memory(own(1024 * kMiB), kNeeds, 8, {});
  EXPECT_EQ(plan->blocks, 8u);
  EXPECT_LT(plan->kv_positions, kDefaultKvPositions);
  EXPECT_GE(plan->kv_positions, kLeastKvPositions);
  EXPECT_EQ(plan->kv_positions % 32, 0);
}

TEST(Sizing, EveryMoreOfMemoryIsNeverLessOfBlocks) {
  std::uint32_t before = 0;
  for (std::uint64_t mib = 200; mib < 4000; mib += 50) {
    const auto plan = plan_memory(own(mib * kMiB), kTiny, 22, {});
    if (!plan.ok()) {
      EXPECT_EQ(before, 0u);
      continue;
    }
    EXPECT_GE(plan->blocks, before) << mib;
    EXPECT_GE(plan->kv_positions, kFewestKvPositions);
    before = plan->blocks;
  }
  EXPECT_EQ(before, 22u);
}

TEST(Sizing, NotEvenOneBlockIsAnErrorWithNumbersTheLimitAndAWayOut) {
  const auto result = plan_memory({{130 * kMiB, "--memory", false}, std::nullopt}, kNeeds, 80, {});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  const std::string text = result.status().ToString();
  for (const char* part : {"100 MiB", "--memory", "--kv-positions"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Sizing, WhatIsNamedIsKeptOrRefused) {
  EXPECT_EQ(plan_memory(own(10'000 * kMiB), kNeeds, 80, {4, 1000})->kv_positions, 992);  // pages
  EXPECT_EQ(plan_memory(own(10'000 * kMiB), kNeeds, 80, {4, 1000})->blocks, 4u);
  EXPECT_EQ(plan_memory(own(500 * kMiB), kNeeds, 80, {3, 1'000'000}).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(plan_memory(own(100 * kMiB), kNeeds, 80, {3, std::nullopt}).status().code(),
            absl::StatusCode::kResourceExhausted);
  // Positions that were asked for come before blocks that were not.
  const auto plan = plan_memory(own(2000 * kMiB), kNeeds, 80, {std::nullopt, 102'400});
  EXPECT_EQ(plan->kv_positions, 102'400);
  EXPECT_EQ(plan->blocks, 9u);  // 1,800 MiB for blocks of 100 + 100
}

TEST(Sizing, AddressSpaceIsForAllButTheWeights) {
  MemoryBudget budget = own(10'000 * kMiB);
  budget.own = MemoryLimit{400 * kMiB, "ulimit -v", false};
  const auto plan = plan_memory(budget, kTiny, 22, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->blocks, 22u);
  EXPECT_LT(plan->kv_positions, kDefaultKvPositions);
  EXPECT_NE(plan->reason.find("ulimit -v"), std::string::npos) << plan->reason;
}

}  // namespace
}  // namespace shoal::model
