// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/piece_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "proto/limits.h"

namespace shoal::client {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kMiB = proto::kCompanionPieceBytes;
const PiecePlan::Time kStart{};

std::vector<PiecePlan::Order> all_next(PiecePlan& plan, PiecePlan::Time now = kStart) {
  std::vector<PiecePlan::Order> orders;
  while (const auto order = plan.next(now)) orders.push_back(*order);
  return orders;
}

TEST(PiecePlan, EveryByteIsAskedForOnce) {
  PiecePlan plan({kMiB * 2 + 5, 10, 0}, 3);
  std::map<std::size_t, std::set<std::pair<std::uint64_t, std::size_t>>> asked;
  for (const auto& order : all_next(plan)) {
    EXPECT_TRUE(asked[order.file].emplace(order.offset, order.bytes).second);
    EXPECT_TRUE(plan.came(order));
  }
  EXPECT_EQ(asked[0], (std::set<std::pair<std::uint64_t, std::size_t>>{
                          {0, kMiB}, {kMiB, kMiB}, {2 * kMiB, 5}}));
  EXPECT_EQ(asked[1], (std::set<std::pair<std::uint64_t, std::size_t>>{{0, 10}}));
  EXPECT_TRUE(plan.is_done());
  EXPECT_TRUE(plan.is_whole(2));
}

TEST(PiecePlan, NodesShareTheWorkWithinTheirLimits) {
  PiecePlan plan({kMiB * 20}, 3);
  std::map<std::size_t, int> of_node;
  const auto orders = all_next(plan);
  for (const auto& order : orders) ++of_node[order.node];
  for (const auto& [node, count] : of_node) {
    EXPECT_EQ(count, static_cast<int>(proto::kMaxCompanionCallsPerPeer)) << node;
  }
  EXPECT_EQ(of_node.size(), 3u);
  EXPECT_TRUE(plan.came(orders[0]));
  EXPECT_EQ(all_next(plan).size(), 1u);
}

TEST(PiecePlan, WhatIsSlowIsAskedOfAnotherToo) {
  PiecePlan plan({10}, 2);
  const auto first = plan.next(kStart);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->node, 0u);
  EXPECT_FALSE(plan.next(kStart + 100ms));
  const auto second = plan.next(kStart + 600ms);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->node, 1u);
  EXPECT_FALSE(plan.next(kStart + 2s));  // two are enough
  EXPECT_TRUE(plan.came(*second));
  EXPECT_FALSE(plan.came(*first));
  EXPECT_TRUE(plan.is_done());
}

TEST(PiecePlan, ABusyNodeIsAskedAgainLater) {
  PiecePlan plan({10}, 1);
  plan.busy(*plan.next(kStart), kStart);
  EXPECT_FALSE(plan.next(kStart + 500ms));
  EXPECT_FALSE(plan.is_hopeless());
  EXPECT_TRUE(plan.next(kStart + 1s));
}

TEST(PiecePlan, AnotherTakesOverFromALostNode) {
  PiecePlan plan({10}, 2);
  plan.lost(*plan.next(kStart));
  const auto again = plan.next(kStart);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->node, 1u);
  plan.lost(*again);
  EXPECT_TRUE(plan.is_hopeless());
}

TEST(PiecePlan, WhoSentAWrongFileIsKnownAndLeft) {
  PiecePlan plan({10}, 2);
  const auto lie = plan.next(kStart);
  EXPECT_TRUE(plan.came(*lie));
  EXPECT_EQ(plan.wrong(0), 0u);
  EXPECT_FALSE(plan.is_done());
  const auto truth = plan.next(kStart);
  ASSERT_TRUE(truth);
  EXPECT_EQ(truth->node, 1u);
  EXPECT_TRUE(plan.came(*truth));
  EXPECT_TRUE(plan.is_done());
}

// One of three lies about one piece of three: the file comes again from each alone, and in the end
// it is whole, or everybody who lied is named.
TEST(PiecePlan, AFileOfManyIsThenTakenFromOneAlone) {
  for (std::size_t liar = 0; liar < 3; ++liar) {
    PiecePlan plan({3 * kMiB}, 3);
    std::set<std::size_t> sources;
    int rounds = 0;
    std::optional<std::size_t> blamed;
    while (!plan.is_done() && ++rounds < 5) {
      sources.clear();
      while (!plan.is_whole(0)) {
        const auto order = plan.next(kStart);
        ASSERT_TRUE(order);
        sources.insert(order->node);
        ASSERT_TRUE(plan.came(*order));
      }
      if (sources.contains(liar)) blamed = plan.wrong(0);
    }
    EXPECT_TRUE(plan.is_done()) << liar;
    EXPECT_EQ(sources.size(), 1u) << liar;
    if (liar == 0) {
      EXPECT_EQ(blamed, liar);
    }
    EXPECT_LE(rounds, 3) << liar;
  }
}

TEST(PiecePlan, WhatComesLateOfAWrongFileDoesNotCount) {
  PiecePlan plan({10}, 2);
  const auto slow = plan.next(kStart);
  const auto lie = plan.next(kStart + 1s);
  EXPECT_TRUE(plan.came(*lie));
  EXPECT_EQ(plan.wrong(0), 1u);
  EXPECT_FALSE(plan.came(*slow));
  EXPECT_FALSE(plan.is_done());
  EXPECT_TRUE(plan.next(kStart + 1s));
}

}  // namespace
}  // namespace shoal::client
