// SPDX-License-Identifier: Apache-2.0
// What `shoal-node plan` says of a machine and a model.
#include "node/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace shoal::node {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1 << 20;

NodePlan plan_with(std::uint64_t mib) {
  std::vector<model::MemoryNeeds> needs;
  for (const std::uint64_t weights : {160, 85, 50, 45}) {
    needs.push_back({.block_weight_bytes = weights * kMiB, .block_position_kv_bytes = 1024});
  }
  const PlannedDevice device{{{mib * kMiB, "--memory", false}, std::nullopt}, 10e9};
  NodePlan plan = make_plan({&device, 1}, needs, 10, {});
  plan.model = "m";
  plan.stored = "bf16";
  return plan;
}

TEST(NodePlan, OfEachFormatWhatFitsAndHowFastItIsRead) {
  const NodePlan plan = plan_with(1000);
  ASSERT_EQ(plan.formats.size(), 4u);
  EXPECT_EQ(plan.formats[0].blocks, 5u);
  EXPECT_EQ(plan.formats[1].blocks, 10u);
  EXPECT_EQ(plan.formats[3].blocks, 10u);
  EXPECT_GT(plan.formats[3].kv_positions, plan.formats[1].kv_positions);
  EXPECT_DOUBLE_EQ(plan.formats[2].tokens_s, 10e9 / (10 * 50.0 * kMiB));
  EXPECT_EQ(plan.chosen, model::WeightChoice::kQ8);
  const std::string text = plan_text(plan);
  EXPECT_THAT(text, HasSubstr("m, stored as bf16: 900 MiB of the 1000 MiB that --memory leaves"));
  EXPECT_THAT(text, HasSubstr("stored    160.0 MiB    5 of 10"));
  EXPECT_THAT(
      text, HasSubstr("--weights auto: q8 is the widest format in which 10 blocks fit; stored 5"));
}

TEST(NodePlan, WhatDoesNotFitSaysSo) {
  const NodePlan some = plan_with(200);
  EXPECT_EQ(some.formats[0].blocks, 0u);
  EXPECT_EQ(some.formats[3].blocks, 3u);  // 150 MiB for 45 + 4
  EXPECT_THAT(plan_text(some), HasSubstr("none fits"));
  const NodePlan none = plan_with(20);
  EXPECT_EQ(none.chosen, std::nullopt);
  EXPECT_THAT(plan_text(none), HasSubstr("Nothing fits: one block needs"));
}

TEST(NodePlan, ForFloatTensorCoresOfStoredWeightsAlone) {
  const model::MemoryNeeds needs{.block_weight_bytes = 160 * kMiB, .block_position_kv_bytes = 1024};
  const auto plan_of = [&](std::uint64_t mib) {
    const PlannedDevice card{{{mib * kMiB, "the card", false}, std::nullopt}, 10e9};
    return make_plan({&card, 1}, {&needs, 1}, 10, {});
  };
  const NodePlan plan = plan_of(1000);
  EXPECT_TRUE(plan.mma);
  ASSERT_EQ(plan.formats.size(), 1u);
  EXPECT_EQ(plan.formats[0].blocks, 5u);
  EXPECT_EQ(plan.chosen, model::WeightChoice::kMma);
  EXPECT_THAT(plan_text(plan), HasSubstr("stored    160.0 MiB    5 of 10"));
  EXPECT_THAT(plan_text(plan), HasSubstr("--compute mma: memory: 900 MiB of the 1000 MiB"));
  const auto json = nlohmann::json::parse(plan_json(plan));
  EXPECT_EQ(json["compute"], "mma");
  EXPECT_EQ(json["formats"][0]["weights"], "stored");
  EXPECT_THAT(plan_text(plan_of(100)), HasSubstr("Nothing fits: one block needs"));
}

TEST(NodePlan, AsJson) {
  const auto json = nlohmann::json::parse(plan_json(plan_with(1000)));
  EXPECT_EQ(json["auto"], "q8");
  EXPECT_EQ(json["compute"], "exact");
  EXPECT_EQ(json["blocks"], 10);
  EXPECT_EQ(json["formats"].size(), 4u);
  EXPECT_EQ(json["formats"][0]["weights"], "stored");
  EXPECT_EQ(json["formats"][0]["blocks"], 5);
  EXPECT_TRUE(nlohmann::json::parse(plan_json(plan_with(20)))["auto"].is_null());
}

}  // namespace
}  // namespace shoal::node
