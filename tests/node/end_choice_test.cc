// SPDX-License-Identifier: Apache-2.0
// Which of the model's ends a node serves: what its span reaches, what is here, what fits.
#include "node/end_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::node {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kMi = 1 << 20;

// Eight blocks of 100 MiB on a machine of so many: 90 % can be used.
EndsQuestion question(EndsMode mode, std::uint64_t mib, std::vector<base::MemoryBudget>& budgets) {
  budgets = {{{mib * kMi, "--memory", false}, std::nullopt}};
  EndsQuestion result;
  result.mode = mode;
  result.reached = {.embedding = true, .head = true};
  result.needs = {.embedding_bytes = 100 * kMi, .head_bytes = 100 * kMi, .own_bytes = 20 * kMi};
  result.devices = budgets;
  result.blocks = {.block_weight_bytes = 100 * kMi, .block_position_kv_bytes = 1024};
  result.block_count = 8;
  result.plan = *model::plan_memory(budgets, result.blocks, 8, {});
  return result;
}

TEST(EndChoice, FollowsTheSpan) {
  EXPECT_EQ(ends_of({0, 4}, 8), (model::EndParts{.embedding = true, .head = false}));
  EXPECT_EQ(ends_of({4, 8}, 8), (model::EndParts{.embedding = false, .head = true}));
  EXPECT_EQ(ends_of({0, 8}, 8), (model::EndParts{.embedding = true, .head = true}));
  EXPECT_FALSE(ends_of({1, 7}, 8).any());
}

TEST(EndChoice, KvGivesWayToEndsAndBlocksDoNot) {
  std::vector<base::MemoryBudget> budgets;
  EndsQuestion roomy = question(EndsMode::kAuto, 1400, budgets);
  ASSERT_EQ(roomy.plan.blocks, 8u);
  auto answer = choose_ends(roomy);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->parts, roomy.reached);
  EXPECT_EQ(answer->plan.blocks, 8u);
  EXPECT_LT(answer->plan.kv_positions, roomy.plan.kv_positions);
  EXPECT_GE(answer->plan.kv_positions, model::kLeastKvPositions);
  EXPECT_THAT(answer->reason, HasSubstr("embedding and head too, in 200 MiB"));

  const EndsQuestion tight = question(EndsMode::kAuto, 1000, budgets);
  ASSERT_EQ(tight.plan.blocks, 8u);
  answer = choose_ends(tight);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_FALSE(answer->parts.any());
  EXPECT_EQ(answer->plan.kv_positions, tight.plan.kv_positions);
  EXPECT_THAT(answer->reason, HasSubstr("no room for the model's embedding and head (200 MiB)"));
}

TEST(EndChoice, OffSaysNothing) {
  std::vector<base::MemoryBudget> budgets;
  const auto answer = choose_ends(question(EndsMode::kOff, 1400, budgets));
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->parts.any());
  EXPECT_EQ(answer->reason, "");
}

TEST(EndChoice, OnIsAnErrorWhereItCannotBe) {
  std::vector<base::MemoryBudget> budgets;
  absl::Status status = choose_ends(question(EndsMode::kOn, 1000, budgets)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--blocks"));
  EndsQuestion between = question(EndsMode::kOn, 1400, budgets);
  between.reached = {};
  status = choose_ends(between).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("neither the first nor the last block"));
  between.mode = EndsMode::kAuto;
  EXPECT_EQ(choose_ends(between)->reason, "");
}

TEST(EndChoice, PartsOfAModelSayWhatTheyLack) {
  std::vector<base::MemoryBudget> budgets;
  EndsQuestion parts = question(EndsMode::kAuto, 1400, budgets);
  parts.missing = {"lm_head.weight"};
  const auto answer = choose_ends(parts);
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer->parts.any());
  EXPECT_THAT(answer->reason, HasSubstr("lacks lm_head.weight"));
  parts.mode = EndsMode::kOn;
  EXPECT_EQ(choose_ends(parts).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(EndChoice, BesideAGpuTheyTakeTheMachinesOwnMemory) {
  std::vector<base::MemoryBudget> budgets;
  EndsQuestion card = question(EndsMode::kAuto, 1000, budgets);
  card.host = base::MemoryBudget{{1000 * kMi, "free memory", true}, std::nullopt};
  const auto answer = choose_ends(card);
  ASSERT_TRUE(answer.ok());
  EXPECT_TRUE(answer->parts.any());
  EXPECT_EQ(answer->plan.kv_positions, card.plan.kv_positions);
  card.host->all.bytes = 200 * kMi;
  EXPECT_FALSE(choose_ends(card)->parts.any());
}

}  // namespace
}  // namespace shoal::node
