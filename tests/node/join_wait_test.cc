// SPDX-License-Identifier: Apache-2.0
// A node that finds nobody yet keeps trying, not too often and not in step with its neighbours.
#include "node/member/join_wait.h"

#include <gtest/gtest.h>

namespace shoal::node {
namespace {

TEST(JoinWait, TriesForEverWithPausesThatGrowToTenSeconds) {
  JoinWait wait(std::nullopt);
  std::uint32_t last = 0;
  std::uint64_t elapsed = 0;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(wait.try_ms(elapsed), i == 0 ? 3'000u : 8'000u);  // the first is told of soon
    const auto pause = wait.pause_ms(elapsed, 0.999999);
    ASSERT_TRUE(pause.has_value());
    EXPECT_GE(*pause, last);
    EXPECT_LE(*pause, 10'000u);
    last = *pause;
    elapsed += 8'000 + *pause;
  }
  EXPECT_GE(last, 9'000u);
}

TEST(JoinWait, MachinesThatStartTogetherDrawApart) {
  JoinWait one(std::nullopt);
  JoinWait other(std::nullopt);
  EXPECT_LT(*one.pause_ms(0, 0.0), *other.pause_ms(0, 0.9));
}

TEST(JoinWait, AShortLimitIsOneTry) {
  JoinWait wait(5'000);
  EXPECT_EQ(wait.try_ms(0), 5'000u);
  EXPECT_FALSE(wait.pause_ms(5'000, 0.5).has_value());
}

TEST(JoinWait, ALimitEndsIt) {
  JoinWait wait(10'000);
  std::uint64_t elapsed = 0;
  int tries = 0;
  for (;; ++tries) {
    ASSERT_LT(tries, 20);
    const std::uint32_t most = wait.try_ms(elapsed);
    EXPECT_GT(most, 0u);
    EXPECT_LE(elapsed + most, 10'000u);
    elapsed += most;
    const auto pause = wait.pause_ms(elapsed, 0.5);
    if (!pause) break;
    elapsed += *pause;
    EXPECT_LT(elapsed, 10'000u);
  }
  EXPECT_GE(elapsed, 9'500u);
  EXPECT_GE(tries, 1);
}

TEST(JoinWait, SaysWhatItWaitsForAtOnceAndThenEveryMinute) {
  JoinWait wait(std::nullopt);
  EXPECT_TRUE(wait.tell(8'000));
  EXPECT_FALSE(wait.tell(20'000));
  EXPECT_TRUE(wait.tell(68'000));
  EXPECT_FALSE(wait.tell(100'000));
}

}  // namespace
}  // namespace shoal::node
