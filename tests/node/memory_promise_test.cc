// SPDX-License-Identifier: Apache-2.0
// What a node keeps of a machine's memory, and that the next one leaves it.
#include "node/memory_promise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

namespace shoal::node {
namespace {

constexpr std::uint64_t kMega = 1 << 20;

model::MemoryNeeds needs_of_a_block() {
  return {.block_weight_bytes = 100 * kMega,
          .block_position_kv_bytes = 1'024,
          .workspace_bytes = 7 * kMega};
}

model::MemoryPlan plan_of(std::vector<std::uint32_t> shares) {
  model::MemoryPlan plan;
  for (const std::uint32_t blocks : shares) plan.blocks += blocks;
  plan.kv_positions = 2'048;  // 2 MiB a block
  plan.shares = std::move(shares);
  return plan;
}

TEST(MemoryPromise, OnTheCpuWeightsAreMappedAndTheRestIsItsOwn) {
  const model::EndNeeds ends{
      .embedding_bytes = 10 * kMega, .head_bytes = 4 * kMega, .own_bytes = 4 * kMega};
  const auto claim = claim_of(needs_of_a_block(), ends, plan_of({3}), {});
  EXPECT_EQ(claim.mapped_bytes, 300 * kMega + ends.all_bytes() - 4 * kMega);
  EXPECT_EQ(claim.own_bytes, (3 * 2 + 7 + 4 + 96) * kMega);
  model::MemoryNeeds packed = needs_of_a_block();
  packed.packed = true;
  EXPECT_EQ(claim_of(packed, {}, plan_of({3}), {}).mapped_bytes, 0u);
}

TEST(MemoryPromise, OnGpusEachKeepsItsPart) {
  const std::vector<std::string> gpus = {"a", "b", "c"};
  const auto claim = claim_of(needs_of_a_block(), {}, plan_of({3, 0, 1}), gpus);
  EXPECT_EQ(claim.devices.size(), 2u);
  EXPECT_EQ(claim.devices.at("a"), (3 * 102 + 7) * kMega);
  EXPECT_EQ(claim.devices.at("c"), (102 + 7) * kMega);
  EXPECT_EQ(claim.mapped_bytes, 0u);
  EXPECT_EQ(sum_of(claim, claim).devices.at("c"), 2 * (102 + 7) * kMega);
}

TEST(MemoryPromise, TheNextNodeOfAMachineLeavesWhatTheFirstKeeps) {
  tests::TempDir folder;
  const std::string ledger = folder.file("ledger");
  std::filesystem::create_directory(ledger);
  MemoryPromise one(ledger + "/memory"), other(ledger + "/memory");
  // The numbers are the machine's, where others take and give meanwhile; it says what it left out.
  const auto limit_of = [](MemoryPromise& who, bool beside_own) {
    const SpanRoom room = who.look({}, std::nullopt, beside_own);
    who.let_go();
    return room.devices.front().all.from;
  };
  const std::string reserved = "less 1024 MiB that nodes here have reserved";
  EXPECT_EQ(limit_of(other, false).find(reserved), std::string::npos);
  one.look({}, std::nullopt, false);
  one.keep({.mapped_bytes = 1024 * kMega});
  EXPECT_NE(limit_of(other, false).find(reserved), std::string::npos) << limit_of(other, false);
  EXPECT_EQ(limit_of(one, false).find(reserved), std::string::npos);
  EXPECT_NE(limit_of(one, true).find(reserved), std::string::npos) << limit_of(one, true);
}

TEST(MemoryPromise, WithoutALedgerANodeKnowsItsOwn) {
  MemoryPromise alone("");
  const base::MemorySize most{.bytes = 900 * kMega};
  const auto left = [&](bool beside_own) {
    return alone.look({}, most, beside_own).devices.front().all.bytes;
  };
  alone.keep({.mapped_bytes = 300 * kMega});
  // What this process takes meanwhile counts too: of some looks, one falls between its changes.
  double difference = 0;
  for (int i = 0; i < 10 && std::abs(difference - 300.0 * kMega) > 1.0 * kMega; ++i) {
    const std::uint64_t before = left(false);
    difference = static_cast<double>(before) - static_cast<double>(left(true));
  }
  EXPECT_NEAR(difference, 300.0 * kMega, 1.0 * kMega);
}

}  // namespace
}  // namespace shoal::node
