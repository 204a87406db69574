// SPDX-License-Identifier: Apache-2.0
// When a node moves to other blocks: one look at a swarm after the other.
#include "node/member/rebalance.h"

#include <gtest/gtest.h>

namespace shoal::node {
namespace {

using std::chrono::seconds;
using TimePoint = Rebalance::TimePoint;

proto::PeerId peer_of(std::uint32_t id) {
  proto::PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(id >> 8);
  peer.bytes[1] = static_cast<std::uint8_t>(id);
  return peer;
}

ServedSpan movable(std::uint32_t id, std::uint32_t begin, std::uint32_t end,
                   double throughput = 10) {
  return {peer_of(id), {begin, end}, throughput, end - begin};
}
ServedSpan pinned(std::uint32_t id, std::uint32_t begin, std::uint32_t end) {
  ServedSpan result = movable(id, begin, end);
  result.movable = 0;
  return result;
}

TEST(BestMove, ClosesAGapThatNobodyServes) {
  const std::vector<ServedSpan> swarm = {movable(1, 0, 14), movable(2, 0, 14)};
  const auto move = best_move(swarm, 22, swarm[1]);
  ASSERT_TRUE(move.has_value());
  EXPECT_EQ(move->to, (proto::Span{8, 22}));
  EXPECT_EQ(move->closes_in_all, 8u);
  EXPECT_EQ(move->reason(), "nobody serves blocks 14:22");
}

TEST(BestMove, NeverTradesOneGapForAnother) {
  const std::vector<ServedSpan> swarm = {movable(1, 0, 8), movable(2, 8, 16)};
  EXPECT_FALSE(best_move(swarm, 24, swarm[0]).has_value());
  EXPECT_FALSE(best_move(swarm, 24, swarm[1]).has_value());
  // But gives up a small one for a larger one.
  const std::vector<ServedSpan> spare = {movable(1, 0, 8), movable(2, 1, 9)};
  EXPECT_EQ(best_move(spare, 24, spare[1])->closes_in_all, 7u);
}

TEST(BestMove, StaysWhenItsSpanIsPinnedOrIsTheModel) {
  EXPECT_FALSE(best_move({{pinned(1, 0, 4), pinned(2, 0, 4)}}, 8, pinned(2, 0, 4)).has_value());
  EXPECT_FALSE(best_move({{movable(1, 0, 8)}}, 8, movable(1, 0, 8)).has_value());
}

TEST(BestMove, GoesOnlyWhereItHasTheBlocks) {
  const std::vector<ServedSpan> swarm = {movable(1, 0, 4), movable(2, 0, 4)};
  const std::vector<proto::Span> held = {{0, 6}};
  EXPECT_EQ(best_move(swarm, 12, swarm[1], held)->to, (proto::Span{2, 6}));
}

TEST(BestMove, HelpsSlowBlocksOnlyWhenThatIsMuchFaster) {
  // Three to one.
  std::vector<ServedSpan> swarm = {movable(1, 0, 4), movable(2, 0, 4), movable(3, 0, 4),
                                   movable(4, 4, 8)};
  const auto move = best_move(swarm, 8, swarm[0]);
  ASSERT_TRUE(move.has_value());
  EXPECT_EQ(move->to, (proto::Span{4, 8}));
  EXPECT_FALSE(move->urgent());
  // Three to two, or a measurement that differs a little.
  swarm.push_back(movable(5, 4, 8));
  for (const double slower : {1.0, 0.8, 1.2}) {
    swarm[3].throughput = 10 * slower;
    EXPECT_FALSE(best_move(swarm, 8, swarm[0]).has_value()) << slower;
  }
}

TEST(BestMove, NobodyMovesForSpeedWhileThereIsAGap) {
  const std::vector<ServedSpan> swarm = {movable(1, 0, 4),  movable(2, 0, 4),  movable(3, 0, 4),
                                         pinned(4, 4, 8),   movable(5, 9, 12), movable(6, 9, 12),
                                         movable(7, 9, 12), pinned(8, 9, 12)};
  const std::vector<proto::Span> held = {{0, 8}};
  EXPECT_FALSE(best_move(swarm, 12, swarm[0], held).has_value());
}

TEST(FirstMove, OneGoesFirstForAGapAndAllAgreeWhich) {
  const std::vector<ServedSpan> swarm = {movable(4, 0, 4), movable(2, 0, 4), movable(3, 0, 4),
                                         movable(1, 4, 8)};
  int first = 0;
  for (const ServedSpan& self : swarm) {
    const auto turn = first_move(swarm, 12, self.peer);
    if (turn && turn->before_us == 0) ++first;
    if (turn) {
      EXPECT_EQ(turn->move.to, (proto::Span{8, 12}));
    }
  }
  EXPECT_EQ(first, 1);
}

TEST(FirstMove, WhoClosesMoreGoesFirst) {
  const std::vector<ServedSpan> swarm = {movable(1, 0, 3), movable(2, 0, 6), movable(3, 0, 6)};
  EXPECT_GT(first_move(swarm, 12, peer_of(1))->before_us, 0u);
  const auto second = first_move(swarm, 12, peer_of(2)), third = first_move(swarm, 12, peer_of(3));
  EXPECT_EQ(std::min(second->before_us, third->before_us), 0u);
}

TEST(FirstMove, TwoDoNotLeaveTheSameBlocksToEachOther) {
  // Each may go as long as the other stays.
  const std::vector<ServedSpan> swarm = {movable(1, 0, 4), movable(2, 0, 4), pinned(3, 8, 12)};
  const auto one = first_move(swarm, 16, peer_of(1)), two = first_move(swarm, 16, peer_of(2));
  ASSERT_TRUE(one && two);
  EXPECT_NE(one->before_us, two->before_us);
}

TEST(FirstMove, AChainMovesUpFromItsEnd) {
  // Block 8 has nobody, block 24 has two: by one each, the last one first.
  std::vector<ServedSpan> swarm = {movable(1, 0, 8), movable(2, 9, 17), movable(3, 17, 25),
                                   movable(4, 24, 32)};
  EXPECT_FALSE(first_move(swarm, 32, peer_of(2)).has_value());
  auto turn = first_move(swarm, 32, peer_of(3));
  ASSERT_TRUE(turn.has_value());
  EXPECT_EQ(turn->move.to, (proto::Span{16, 24}));
  EXPECT_TRUE(turn->move.makes_room);
  swarm[2].span = turn->move.to;
  turn = first_move(swarm, 32, peer_of(2));
  ASSERT_TRUE(turn.has_value());
  EXPECT_EQ(turn->move.to, (proto::Span{8, 16}));
  EXPECT_EQ(turn->move.closes_in_all, 1u);
}

TEST(RebalanceTest, WaitsWhetherAGapCloses) {
  const RebalancePace pace;
  Rebalance rebalance(pace);
  const std::vector<ServedSpan> gap = {movable(1, 0, 4), movable(2, 0, 4)};
  const std::vector<ServedSpan> whole = {movable(1, 0, 4), movable(2, 0, 4), movable(3, 4, 8)};
  TimePoint now{seconds(1'000)};
  const auto self = peer_of(2);
  EXPECT_FALSE(rebalance.look(gap, 8, self, {}, now, 0.5).move);
  now += pace.gap_patience - seconds(1);
  EXPECT_FALSE(rebalance.look(whole, 8, self, {}, now, 0.5).move);
  now += seconds(2);
  EXPECT_FALSE(rebalance.look(gap, 8, self, {}, now, 0.5).move) << "it is another gap";
  now += pace.gap_patience + pace.pause + pace.turn;
  EXPECT_TRUE(rebalance.look(gap, 8, self, {}, now, 0.5).move);
}

TEST(RebalanceTest, RestsAfterAMoveAndLongerAfterEachFailure) {
  const RebalancePace pace;
  const std::vector<ServedSpan> gap = {movable(1, 0, 4), movable(2, 0, 4)};
  const auto waits = [&](auto before) {
    Rebalance rebalance(pace);
    TimePoint now{seconds(1'000)};
    before(rebalance, now);
    const TimePoint begin = now;
    while (!rebalance.look(gap, 8, peer_of(2), {}, now, 0).move) now += seconds(1);
    return now - begin;
  };
  const auto plain = waits([](Rebalance&, TimePoint) {});
  const auto once = waits([](Rebalance& r, TimePoint at) { r.failed(at); });
  const auto thrice = waits([](Rebalance& r, TimePoint at) {
    for (int i = 0; i < 3; ++i) r.failed(at);
  });
  EXPECT_LT(plain, once);
  EXPECT_LT(once, thrice);
  EXPECT_GE(thrice, 4 * pace.failure_rest);
}

}  // namespace
}  // namespace shoal::node
