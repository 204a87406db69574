// SPDX-License-Identifier: Apache-2.0
// Memory decides how many blocks a node serves when nobody names them.
#include "node/sizing.h"

#include <gtest/gtest.h>

namespace shoal::node {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr MemoryNeeds kNeeds{.block_weight_bytes = 100 * kMiB, .block_position_kv_bytes = 1024};

TEST(Sizing, BlocksFitIntoFourFifthsOfTheMemory) {
  // 1,000 MiB, of which 800 are usable; a block takes 100 + 60 of cache.
  EXPECT_EQ(*blocks_that_fit(1000 * kMiB, kNeeds, 61'440, 80), 5u);
  EXPECT_EQ(*blocks_that_fit(1000 * kMiB, kNeeds, 61'440, 3), 3u);
}

TEST(Sizing, NotEvenOneBlockIsAnErrorWithNumbersAndAWayOut) {
  const auto result = blocks_that_fit(150 * kMiB, kNeeds, 61'440, 80);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  const std::string text = result.status().ToString();
  EXPECT_NE(text.find("160 MiB"), std::string::npos) << text;
  EXPECT_NE(text.find("--kv-positions"), std::string::npos) << text;
}

TEST(Sizing, KvTakesTheDefaultOrWhatIsLeft) {
  EXPECT_EQ(*kv_positions_that_fit(10'000 * kMiB, kNeeds, 4, std::nullopt), kDefaultKvPositions);
  // 500 * 0.8 - 390 = 10 MiB for 3.9 blocks is not whole: use 3 blocks: 100 MiB left, 3 KiB a
  // position.
  const auto left = kv_positions_that_fit(500 * kMiB, kNeeds, 3, std::nullopt);
  EXPECT_EQ(*left, 100 * 1024 / 3 / 32 * 32);
}

TEST(Sizing, ANamedNumberOfPositionsIsKeptOrRefused) {
  EXPECT_EQ(*kv_positions_that_fit(10'000 * kMiB, kNeeds, 4, 1000), 992);  // whole pages
  EXPECT_EQ(kv_positions_that_fit(500 * kMiB, kNeeds, 3, 1'000'000).status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(kv_positions_that_fit(100 * kMiB, kNeeds, 3, std::nullopt).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(Sizing, ThisMachineHasMemory) {
  EXPECT_GT(available_memory(), 16 * kMiB);
  EXPECT_LT(available_memory(), std::uint64_t{1} << 50);
}

}  // namespace
}  // namespace shoal::node
