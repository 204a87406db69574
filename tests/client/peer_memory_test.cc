// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/peer_memory.h"

#include <gtest/gtest.h>

#include <map>

#include "client/ring/audition.h"
#include "client/ring/patience.h"
#include "client/ring/repeated_loss.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kBlocks = 8;

proto::PeerId peer(int number) {
  proto::PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(number);
  id.bytes[7] = static_cast<std::uint8_t>(number * 37);
  return id;
}

Candidate node(int number, double block_us, proto::Span span = {0, kBlocks}) {
  Candidate candidate;
  candidate.peer = peer(number);
  candidate.span = span;
  candidate.rtt_us = 1000;
  candidate.load.block_step_us = block_us;
  candidate.load.free_kv_positions = candidate.max_positions = 1000;
  return candidate;
}

class PeerMemoryTest : public ::testing::Test {
 protected:
  Route route(std::vector<Candidate> candidates, const PeerMemory& memory) const {
    RouteRequest request;
    request.block_count = kBlocks;
    request.positions = 100;
    memory.judge(candidates, request, now_);
    const auto found = find_route(request, candidates);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? *found : Route{};
  }
  int first(std::vector<Candidate> candidates, const PeerMemory& memory) const {
    return route(std::move(candidates), memory).front().peer.bytes[0];
  }

  PeerMemory memory_;
  PeerMemory::Time now_{std::chrono::hours(1)};
};

TEST_F(PeerMemoryTest, AClaimThatNobodyHasSeenDoesNotDrawAllRoutes) {
  const std::vector<Candidate> nodes{node(1, 100), node(2, 0.01), node(3, 110), node(4, 105)};
  std::map<int, int> chosen;
  for (std::uint64_t user = 0; user < 1000; ++user) ++chosen[first(nodes, PeerMemory(user))];
  EXPECT_LT(chosen[2], 500);
  EXPECT_GT(chosen[1] + chosen[3] + chosen[4], 500);
}

TEST_F(PeerMemoryTest, WhatWasMeasuredCountsWhateverIsClaimed) {
  memory_.measured(peer(2), 400, now_);
  memory_.measured(peer(1), 100, now_);
  EXPECT_EQ(first({node(1, 100), node(2, 0.01)}, memory_), 1);
  // And a machine that is as fast as it says is used.
  memory_.measured(peer(3), 10, now_);
  EXPECT_EQ(first({node(1, 100), node(3, 10)}, memory_), 3);
  EXPECT_EQ(first({node(1, 100), node(2, 0.01)}, memory_), 1);
}

TEST_F(PeerMemoryTest, ASlowOneIsNoMeasureForOthers) {
  memory_.measured(peer(1), 50'000, now_);
  EXPECT_EQ(first({node(1, 100), node(2, 300)}, memory_), 2);
  std::vector<Candidate> nodes{node(1, 100), node(2, 300)};
  RouteRequest request;
  memory_.judge(nodes, request, now_);
  EXPECT_LT(nodes[1].load.block_step_us, 335);
}

TEST_F(PeerMemoryTest, WhoeverSaysThatItIsSlowerIsBelieved) {
  memory_.measured(peer(1), 100, now_);
  Candidate busy = node(1, 100);
  busy.load.queue_depth = 9;
  EXPECT_EQ(first({busy, node(2, 300)}, memory_), 2);
}

TEST_F(PeerMemoryTest, WhatWasMeasuredFades) {
  const auto believed = [&] {
    std::vector<Candidate> nodes{node(1, 100), node(2, 300)};
    RouteRequest request;
    memory_.judge(nodes, request, now_);
    return nodes[0].load.block_step_us;
  };
  memory_.measured(peer(1), 1000, now_);
  memory_.measured(peer(2), 300, now_);
  EXPECT_NEAR(believed(), 1000, 1);
  now_ += seconds(3600);
  memory_.measured(peer(2), 300, now_);
  EXPECT_LT(believed(), 335);
}

TEST_F(PeerMemoryTest, ARefusalSendsTheNextChoiceElsewhere) {
  const std::vector<Candidate> nodes{node(1, 10), node(2, 1000)};
  memory_.measured(peer(1), 10, now_);
  EXPECT_EQ(first(nodes, memory_), 1);
  memory_.refused(peer(1), milliseconds(0), now_);
  EXPECT_EQ(first(nodes, memory_), 2);
  EXPECT_FALSE(memory_.is_clean(route({node(1, 10)}, memory_), now_));  // there is no elsewhere
  now_ += seconds(3);
  EXPECT_EQ(first(nodes, memory_), 1);
  // Each time for longer, and for as long as it asks.
  for (int i = 0; i < 3; ++i) memory_.refused(peer(1), milliseconds(0), now_);
  now_ += seconds(10);
  EXPECT_EQ(first(nodes, memory_), 2);
  memory_.worked(peer(1), now_);
  EXPECT_EQ(first(nodes, memory_), 1);
  memory_.refused(peer(1), milliseconds(30'000), now_);
  now_ += seconds(29);
  EXPECT_EQ(first(nodes, memory_), 2);
}

TEST_F(PeerMemoryTest, AmongThoseThatFailedTheOneThatIsSoonestForgivenIsTried) {
  memory_.failed(peer(1), now_);
  memory_.failed(peer(1), now_);
  memory_.failed(peer(2), now_);
  EXPECT_EQ(first({node(1, 10), node(2, 10'000)}, memory_), 2);
  // A failure costs only its own blocks.
  const Route mixed =
      route({node(1, 10, {0, 4}), node(2, 10, {4, 8}), node(3, 10, {4, 8})}, memory_);
  ASSERT_EQ(mixed.size(), 2u);
  EXPECT_EQ(mixed[1].peer, peer(3));
}

TEST_F(PeerMemoryTest, ACutAvoidsThePairAndNeitherOfThem) {
  memory_.cut(peer(1), peer(2), now_);
  EXPECT_TRUE(memory_.avoided(now_).empty());
  const auto ends = std::vector<Candidate>{node(1, 10, {0, 4}), node(2, 10, {4, 8})};
  EXPECT_EQ(route(ends, memory_).size(), 2u);  // nobody else
  EXPECT_FALSE(memory_.is_clean(route(ends, memory_), now_));
  auto more = ends;
  more.push_back(node(3, 5'000, {4, 8}));
  EXPECT_EQ(route(more, memory_)[1].peer, peer(3));
  more = ends;
  more.push_back(node(3, 5'000, {0, 4}));
  EXPECT_TRUE(memory_.is_clean(route(more, memory_), now_));
  // Over a third one they may still work together.
  more = ends;
  more.push_back(node(3, 5'000, {3, 5}));
  EXPECT_EQ(route(more, memory_).size(), 3u);
  now_ += seconds(90);
  EXPECT_TRUE(memory_.is_clean(route(ends, memory_), now_));
}

TEST_F(PeerMemoryTest, APeerThatIsCutFromSeveralHasFailed) {
  memory_.cut(peer(1), peer(2), now_);
  memory_.cut(peer(1), peer(3), now_);
  EXPECT_EQ(memory_.avoided(now_), (std::set<proto::PeerId>{peer(1)}));
}

TEST_F(PeerMemoryTest, IsBounded) {
  for (int i = 0; i < 6'000; ++i) {
    proto::PeerId id;
    id.bytes[0] = static_cast<std::uint8_t>(i);
    id.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    memory_.failed(id, now_ + milliseconds(i));
  }
  EXPECT_LE(memory_.avoided(now_).size(), 4096u);
}

TEST_F(PeerMemoryTest, OnlyClaimsOutOfTheOrdinaryArePutToTheTest) {
  const std::vector<Candidate> nodes{node(1, 100), node(2, 0.01), node(3, 60), node(4, 40)};
  auto heard = worth_hearing(nodes, memory_, now_);
  ASSERT_EQ(heard.size(), 1u);  // the middle is 60
  EXPECT_EQ(heard[0].peer, peer(2));
  memory_.measured(peer(2), 90, now_);
  EXPECT_TRUE(worth_hearing(nodes, memory_, now_).empty());
  EXPECT_EQ(worth_hearing(nodes, memory_, now_ + seconds(600)).size(), 1u);
  EXPECT_TRUE(worth_hearing({}, memory_, now_).empty());
}

TEST(Patience, IsMeasuredInTimeAndNotInTries) {
  Patience patience(milliseconds(10'000));
  const Patience::Time begin{std::chrono::hours(1)};
  auto now = begin;
  EXPECT_EQ(patience.failed(now), milliseconds(0));
  int tries = 1;
  while (const auto pause = patience.failed(now)) {
    EXPECT_LE(*pause, Patience::kMostPause);
    EXPECT_GT(*pause, milliseconds(0));
    now += *pause;
    ++tries;
  }
  EXPECT_EQ(now - begin, seconds(10));
  EXPECT_GT(tries, 12);
  patience.worked();
  EXPECT_EQ(patience.failed(now), milliseconds(0));
}

TEST(RepeatedLoss, IsToldOnceAndTriedEverMoreRarely) {
  using std::chrono::seconds;
  const auto peer_of = [](int number) {
    proto::PeerId peer;
    peer.bytes.fill(static_cast<std::uint8_t>(number));
    return peer;
  };
  const auto hop_of = [&](int number) { return Hop{peer_of(number), {}, {}}; };
  const Route through_1{hop_of(1), hop_of(2)}, through_3{hop_of(3), hop_of(2)};
  const absl::Status away = absl::UnavailableError("no answer after 4.1 s");
  RepeatedLoss loss;
  RepeatedLoss::Time now{std::chrono::hours(1)};
  EXPECT_FALSE(loss.is_put_aside(through_1, now));
  EXPECT_TRUE(loss.lost(peer_of(2), peer_of(1), away, now));
  EXPECT_FALSE(loss.is_put_aside(through_1, now)) << "once is tried again at once";
  for (const int pause : {2, 4, 8, 16, 16, 16}) {
    EXPECT_FALSE(loss.lost(peer_of(2), peer_of(1), absl::UnavailableError("after 4.2 s"), now));
    EXPECT_TRUE(loss.is_put_aside(through_1, now + seconds(pause) - milliseconds(1)));
    EXPECT_FALSE(loss.is_put_aside(through_3, now)) << "somebody else gets through, perhaps";
    now += seconds(pause);
    EXPECT_FALSE(loss.is_put_aside(through_1, now));
  }
  EXPECT_EQ(loss.times(), 7);
  // Another failure, another pair: told, and tried at once.
  EXPECT_TRUE(loss.lost(peer_of(2), peer_of(1), absl::DataLossError("broken"), now));
  EXPECT_TRUE(loss.lost(peer_of(2), peer_of(3), absl::DataLossError("broken"), now));
  EXPECT_FALSE(loss.is_put_aside(through_3, now));
  EXPECT_FALSE(loss.lost(peer_of(2), peer_of(3), absl::DataLossError("broken"), now));
  loss.worked();
  EXPECT_FALSE(loss.is_put_aside(through_3, now));
  EXPECT_TRUE(loss.lost(peer_of(2), peer_of(3), absl::DataLossError("broken"), now));
}

TEST(Patience, OfNoneTriesOnceMore) {
  Patience patience(milliseconds(0));
  const Patience::Time now{std::chrono::hours(1)};
  EXPECT_EQ(patience.failed(now), milliseconds(0));
  EXPECT_EQ(patience.failed(now), std::nullopt);
}

TEST(Patience, HeedsWhatAHopAsksForWithinReason) {
  Patience patience(milliseconds(60'000));
  const Patience::Time now{std::chrono::hours(1)};
  EXPECT_EQ(patience.failed(now, milliseconds(700)), milliseconds(700));
  EXPECT_EQ(patience.failed(now, milliseconds(3'600'000)), Patience::kMostAsked);
}

}  // namespace
}  // namespace shoal::client
