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

TEST(Sizing, WhoGaveTooLittleIsToldWhatWouldDo) {
  // Of what is given, 15 MiB are taken already.
  const auto plan_of = [](std::uint64_t mib, const MemoryWishes& wishes) {
    const std::uint64_t left = mib > 15 ? mib - 15 : 0;
    return plan_memory({{left * kMiB, "--memory", false, mib * kMiB, 15 * kMiB}, std::nullopt},
                       kNeeds, 80, wishes);
  };
  for (const MemoryWishes& wishes :
       {MemoryWishes(), MemoryWishes{4, std::nullopt}, MemoryWishes{std::nullopt, 10'000}}) {
    const std::string text = plan_of(1, wishes).status().ToString();
    EXPECT_NE(text.find("--memory is 1 MiB"), std::string::npos) << text;
    const std::string before = "at least --memory ";
    const std::size_t at = text.find(before);
    ASSERT_NE(at, std::string::npos) << text;
    const std::uint64_t least = std::stoull(text.substr(at + before.size()));
    EXPECT_TRUE(plan_of(least, wishes).ok()) << text << plan_of(least, wishes).status();
    EXPECT_FALSE(plan_of(least - 1, wishes).ok()) << text;
  }
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

TEST(Sizing, PackedWeightsAreNoFilesOfTheModel) {
  MemoryBudget budget = own(10'000 * kMiB);
  budget.own = MemoryLimit{1000 * kMiB, "ulimit -v", false};
  MemoryNeeds packed = kTiny;
  packed.packed = true;
  EXPECT_EQ(plan_memory(budget, kTiny, 22, {})->blocks, 22u);
  EXPECT_EQ(plan_memory(budget, packed, 22, {})->blocks, 9u);  // 870 MiB for 84 + 8
}

// As kTiny in each format: 16, 8.5, 5 and 4.5 bits a weight.
const std::vector<MemoryNeeds> kFormats = [] {
  std::vector<MemoryNeeds> needs;
  for (const double bits : {16.0, 8.5, 5.0, 4.5}) {
    MemoryNeeds each = kTiny;
    each.block_weight_bytes = static_cast<std::uint64_t>(84 * kMiB * bits / 16);
    needs.push_back(each);
  }
  return needs;
}();

WeightPlan chosen(std::uint64_t mib, const MemoryWishes& wishes = {}) {
  const MemoryBudget device = own(mib * kMiB);
  return choose_weights({&device, 1}, kFormats, 22, wishes).value();
}

TEST(ChooseWeights, TheWidestInWhichAllBlocksFit) {
  EXPECT_EQ(chosen(8000).weights, WeightChoice::kStored);
  EXPECT_EQ(chosen(1600).weights, WeightChoice::kQ8);
  EXPECT_EQ(chosen(1000).weights, WeightChoice::kQ4);
  EXPECT_EQ(chosen(850).weights, WeightChoice::kQ4S);
  for (const std::uint64_t mib : {8000, 1600, 1000, 850}) {
    EXPECT_EQ(chosen(mib).plan.blocks, 22u);
    EXPECT_GE(chosen(mib).plan.kv_positions, kLeastKvPositions);
  }
  const std::string reason = chosen(1000).reason;
  EXPECT_EQ(reason, "q4 is the widest format in which 22 blocks fit; stored 9, q8 16");
}

TEST(ChooseWeights, ElseTheWidestOfThoseThatHoldMost) {
  const WeightPlan plan = chosen(500);
  EXPECT_EQ(plan.weights, WeightChoice::kQ4S);
  EXPECT_LT(plan.plan.blocks, 22u);
  EXPECT_EQ(plan.plan.blocks, plan_memory(own(500 * kMiB), kFormats[3], 22, {})->blocks);
  // A block more would fit in none of them: then nothing is gained by the narrower.
  for (std::uint64_t mib = 200; mib < 3000; mib += 10) {
    const WeightPlan best = chosen(mib);
    for (std::size_t i = 0; i < kFormats.size(); ++i) {
      const auto other = plan_memory(own(mib * kMiB), kFormats[i], 22, {});
      if (!other.ok()) continue;
      EXPECT_LE(other->blocks, best.plan.blocks) << mib;
      if (kWeightChoices[i] < best.weights && other->blocks == best.plan.blocks) {
        EXPECT_LT(other->kv_positions, kLeastKvPositions) << mib;
      }
    }
  }
}

TEST(ChooseWeights, OfBlocksThatAreNamed) {
  EXPECT_EQ(chosen(1000, {4, std::nullopt}).weights, WeightChoice::kStored);
  // They fit as they are stored, but with hardly any room for sessions.
  EXPECT_TRUE(plan_memory(own(1000 * kMiB), kFormats[0], 22, {10, std::nullopt}).ok());
  EXPECT_EQ(chosen(1000, {10, std::nullopt}).weights, WeightChoice::kQ8);
  // Whoever names positions has what he asked for.
  EXPECT_EQ(chosen(1000, {10, 64}).weights, WeightChoice::kStored);
  EXPECT_EQ(chosen(1000, {20, 64}).weights, WeightChoice::kQ4);
}

TEST(ChooseWeights, WhereNothingFitsTheErrorIsOfTheNarrowest) {
  const MemoryBudget device = own(60 * kMiB);
  const absl::Status status = choose_weights({&device, 1}, kFormats, 22, {}).status();
  EXPECT_EQ(status, plan_memory(own(60 * kMiB), kFormats[3], 22, {}).status());
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

// Of a block 100 MiB, and 4 MiB for the fewest positions of a roomy plan.
std::vector<std::uint32_t> shares(const std::vector<std::uint64_t>& mib, std::uint32_t block_count,
                                  const MemoryWishes& wishes = {}) {
  std::vector<MemoryBudget> devices;
  for (const std::uint64_t each : mib) devices.push_back(own(each * kMiB));
  const auto plan = plan_memory(devices, kNeeds, block_count, wishes);
  if (!plan.ok()) return {};
  std::uint32_t all = 0;
  for (std::size_t i = 0; i < mib.size(); ++i) {
    all += plan->shares.at(i);
    const std::uint64_t taken =
        plan->shares[i] *
        (kNeeds.block_weight_bytes + 1024 * static_cast<std::uint64_t>(plan->kv_positions));
    EXPECT_LE(taken, usable_bytes(devices[i].all, kNeeds)) << "device " << i;
  }
  EXPECT_EQ(all, plan->blocks);
  EXPECT_EQ(plan->kv_positions % 32, 0);
  return plan->shares;
}

using Shares = std::vector<std::uint32_t>;

TEST(SizingOfSeveral, EachDeviceTakesBlocksByWhatItHasRoomFor) {
  EXPECT_EQ(shares({1200, 1200}, 80), (Shares{10, 10}));
  EXPECT_EQ(shares({1200, 600}, 80), (Shares{10, 4}));
  EXPECT_EQ(shares({600, 1200, 1200}, 80), (Shares{4, 10, 10}));
  // All fit: in proportion, the odd one to the larger remainder, of equal ones to the first.
  EXPECT_EQ(shares({12'000, 12'000}, 8), (Shares{4, 4}));
  EXPECT_EQ(shares({1200, 1200}, 9), (Shares{5, 4}));
  EXPECT_EQ(shares({2400, 1200}, 9), (Shares{6, 3}));
}

TEST(SizingOfSeveral, ADeviceWithoutRoomForABlockTakesNone) {
  EXPECT_EQ(shares({1200, 60}, 80), (Shares{10, 0}));
  EXPECT_EQ(shares({60, 1200, 60}, 3), (Shares{0, 3, 0}));
  EXPECT_EQ(shares({60, 130}, 80), (Shares{}));
  const std::vector<MemoryBudget> devices = {own(60 * kMiB), own(130 * kMiB)};
  EXPECT_EQ(plan_memory(devices, kNeeds, 80, {}).status(),
            plan_memory(devices[1], kNeeds, 80, {}).status())
      << "the largest says what is missing";
}

TEST(SizingOfSeveral, WhatIsWishedForIsDealtOutOrRefused) {
  EXPECT_EQ(shares({1200, 1200}, 80, {4, 1024}), (Shares{2, 2}));
  EXPECT_EQ(shares({1200, 1200}, 80, {21, std::nullopt}), (Shares{}));
  const std::vector<MemoryBudget> devices = {own(1200 * kMiB), own(2400 * kMiB)};
  EXPECT_EQ(plan_memory(devices, kNeeds, 80, {30, 4096})->kv_positions, 4096);
  const auto plan = plan_memory(devices, kNeeds, 80, {9, std::nullopt});
  EXPECT_EQ(plan->shares, (Shares{3, 6}));
  EXPECT_EQ(plan->kv_positions, kDefaultKvPositions);
}

}  // namespace
}  // namespace shoal::model
