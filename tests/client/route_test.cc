// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "base/random.h"
#include "client/swarm/block_kinds.h"
#include "client/swarm/network_check.h"
#include "client/swarm/probe.h"
#include "client/swarm/swarm_view.h"
#include "proto/limits.h"

namespace shoal::client {
namespace {

using ::testing::HasSubstr;

proto::PeerId peer(int number) {
  proto::PeerId id;
  id.bytes[0] = static_cast<std::uint8_t>(number);
  return id;
}

Candidate node(int number, proto::Span span, double rtt_us = 1000, double block_us = 100,
               std::uint32_t queue = 0, std::uint32_t free_kv = 1000) {
  Candidate candidate;
  candidate.peer = peer(number);
  candidate.addresses = {
      proto::Endpoint::v4({127, 0, 0, 1}, static_cast<std::uint16_t>(7000 + number))};
  candidate.span = span;
  candidate.rtt_us = rtt_us;
  candidate.load.block_step_us = block_us;
  candidate.load.queue_depth = queue;
  candidate.load.free_kv_positions = free_kv;
  candidate.max_positions = 2000;
  return candidate;
}

RouteRequest request(std::uint32_t blocks, std::uint32_t positions = 100) {
  RouteRequest result;
  result.block_count = blocks;
  result.positions = positions;
  return result;
}

// "1[0:4) 2[4:8)"
std::string show(const absl::StatusOr<Route>& route) {
  if (!route.ok()) return std::string(route.status().message());
  std::string text;
  for (const Hop& hop : *route) {
    if (!text.empty()) text += " ";
    text += std::to_string(hop.peer.bytes[0]) + "[" + proto::to_string(hop.span) + ")";
  }
  return text;
}

TEST(Route, ChainsTheSpansThatCoverTheModel) {
  EXPECT_EQ(show(find_route(request(8), {node(3, {5, 8}), node(1, {0, 3}), node(2, {3, 5})})),
            "1[0:3) 2[3:5) 3[5:8)");
}

TEST(Route, OneNodeWithEverythingNeedsNoOther) {
  EXPECT_EQ(show(find_route(request(8), {node(1, {0, 4}), node(2, {4, 8}), node(3, {0, 8})})),
            "3[0:8)");
}

TEST(Route, UsesPartsOfOverlappingSpans) {
  EXPECT_EQ(show(find_route(request(8), {node(1, {0, 6}), node(2, {4, 8}, 1000, 500)})),
            "1[0:6) 2[6:8)");
  EXPECT_EQ(show(find_route(request(8), {node(1, {0, 6}, 1000, 500), node(2, {4, 8})})),
            "1[0:4) 2[4:8)");
}

TEST(Route, PrefersTheNearTheFastAndTheIdle) {
  EXPECT_EQ(show(find_route(request(4), {node(1, {0, 4}, 90'000), node(2, {0, 4}, 10'000)})),
            "2[0:4)");
  EXPECT_EQ(show(find_route(request(4), {node(1, {0, 4}, 1000, 900), node(2, {0, 4}, 1000, 100)})),
            "2[0:4)");
  EXPECT_EQ(show(find_route(request(4), {node(1, {0, 4}, 1000, 100, 7), node(2, {0, 4})})),
            "2[0:4)");
}

TEST(Route, ADetourMustPayForItsHop) {
  // Node 2 saves 4 blocks of 100 us each, but a hop costs 300 us and half a round trip.
  const std::vector<Candidate> slow_link{node(1, {0, 8}, 1000, 110), node(2, {4, 8}, 1000, 10)};
  EXPECT_EQ(show(find_route(request(8), slow_link)), "1[0:8)");
  const std::vector<Candidate> fast_link{node(1, {0, 8}, 10, 110), node(2, {4, 8}, 10, 10)};
  EXPECT_EQ(show(find_route(request(8), fast_link)), "1[0:4) 2[4:8)");
}

TEST(Route, EqualCostsGiveTheSameRouteInAnyOrder) {
  std::vector<Candidate> nodes{node(4, {0, 4}), node(2, {0, 4}), node(3, {4, 8}), node(1, {4, 8})};
  std::sort(nodes.begin(), nodes.end(), [](auto& a, auto& b) { return a.peer < b.peer; });
  do {
    ASSERT_EQ(show(find_route(request(8), nodes)), "2[0:4) 1[4:8)");
  } while (std::next_permutation(nodes.begin(), nodes.end(),
                                 [](auto& a, auto& b) { return a.peer < b.peer; }));
}

TEST(Route, NeverVisitsAPeerTwice) {
  // 2 is far faster inside the span of 1, but 1 alone has both ends.
  EXPECT_EQ(show(find_route(request(8), {node(1, {0, 8}, 10, 5000), node(2, {3, 5}, 10, 1)})),
            "1[0:8)");
}

TEST(Route, ExcludedPeersAreAvoided) {
  RouteRequest avoid = request(8);
  avoid.excluded = {peer(1)};
  const std::vector<Candidate> nodes{node(1, {0, 8}), node(2, {0, 4}), node(3, {4, 8})};
  EXPECT_EQ(show(find_route(avoid, nodes)), "2[0:4) 3[4:8)");
}

TEST(Route, NamesTheBlocksThatNobodyServes) {
  const auto none = find_route(request(8), {node(1, {0, 5}), node(2, {6, 7})});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(show(none), "no node serves blocks 5 and 7");
  EXPECT_EQ(show(find_route(request(8), {node(1, {0, 5}), node(2, {6, 8})})),
            "no node serves block 5");
  EXPECT_EQ(show(find_route(request(8), {})), "no node serves blocks 0..7");
  RouteRequest avoid = request(8);
  avoid.excluded = {peer(1)};
  EXPECT_THAT(show(find_route(avoid, {node(1, {0, 8})})), HasSubstr("have failed"));
}

TEST(Route, NodesWithoutRoomAreAskedOnlyWhereNoOtherServes) {
  EXPECT_EQ(show(find_route(request(4, 500), {node(1, {0, 4}, 10, 10, 0, 499), node(2, {0, 4})})),
            "2[0:4)");
  EXPECT_EQ(show(find_route(request(4, 500), {node(1, {0, 4}, 10, 10, 0, 499)})), "1[0:4)")
      << "it says itself what is full, and others give way";
  EXPECT_EQ(show(find_route(request(8, 500), {node(1, {0, 6}, 1, 1, 0, 0), node(2, {0, 4}, 9, 99),
                                              node(3, {6, 8})})),
            "2[0:4) 1[4:6) 3[6:8)")
      << "not for blocks that others serve";
  Candidate taken = node(1, {0, 4});
  taken.sessions_full = true;
  EXPECT_EQ(show(find_route(request(4, 500), {taken, node(2, {0, 4}, 900, 900)})), "2[0:4)");
  EXPECT_EQ(show(find_route(request(4, 500), {taken})), "1[0:4)");
}

constexpr proto::Numerics kQ4{proto::Compute::kI8, proto::WeightFormat::kQ4, proto::KvFormat::kF32};
constexpr proto::Numerics kStored{proto::Compute::kF32, proto::WeightFormat::kBf16,
                                  proto::KvFormat::kF32};

Candidate of_kind(Candidate candidate, const proto::Numerics& numerics) {
  candidate.numerics = numerics;
  return candidate;
}

TEST(Route, MayMixKindsAndSaysWhatEachHopComputesIn) {
  const auto route =
      find_route(request(8), {of_kind(node(1, {0, 4}), kQ4), of_kind(node(2, {4, 8}), kStored)});
  ASSERT_TRUE(route.ok());
  EXPECT_EQ((*route)[0].numerics, kQ4);
  EXPECT_EQ((*route)[1].numerics, kStored);
}

TEST(Route, BlocksGoOnInTheirKindWhereTheyCan) {
  // The quick one computes otherwise.
  const std::vector<Candidate> nodes{of_kind(node(1, {0, 8}, 1000, 10), kStored),
                                     of_kind(node(2, {0, 8}, 150'000, 2000), kQ4)};
  EXPECT_EQ(show(find_route(request(8), nodes)), "1[0:8)");
  RouteRequest going_on = request(8);
  going_on.kinds = BlockKinds(8, kQ4);
  EXPECT_EQ(show(find_route(going_on, nodes)), "2[0:8)");
  // Of a mixed route each block has its own.
  std::fill(going_on.kinds.begin(), going_on.kinds.begin() + 3, kStored);
  EXPECT_EQ(show(find_route(going_on, nodes)), "1[0:3) 2[3:8)");
  // Keys and values kept otherwise are another kind too.
  std::vector<Candidate> rounded = nodes;
  rounded[1].numerics.kv = proto::KvFormat::kBf16;
  EXPECT_EQ(show(find_route(going_on, rounded)), "1[0:8)");
}

TEST(Route, ASessionGoesOnInAnotherKindRatherThanEnd) {
  RouteRequest going_on = request(8);
  going_on.kinds = BlockKinds(8, kQ4);
  EXPECT_EQ(show(find_route(going_on, {of_kind(node(1, {0, 8}), kStored)})), "1[0:8)");
  Candidate twin = of_kind(node(2, {0, 8}), kQ4);
  const auto with = [&](const Candidate& other) {
    return show(find_route(going_on, {of_kind(node(1, {0, 8}), kStored), other}));
  };
  EXPECT_EQ(with(twin), "2[0:8)");
  twin.load.free_kv_positions = 0;
  EXPECT_EQ(with(twin), "1[0:8)") << "it has no room";
  twin.load.free_kv_positions = 1000;
  twin.penalty_us = 1e9;
  EXPECT_EQ(with(twin), "1[0:8)") << "it has just failed";
  twin.penalty_us = 0;
  going_on.excluded = {twin.peer};
  EXPECT_EQ(with(twin), "1[0:8)");
}

TEST(Route, AnotherKindIsNoPartOfAPromise) {
  const std::vector<Candidate> nodes{of_kind(node(1, {0, 8}), kStored)};
  RouteRequest going_on = request(8);
  going_on.kinds = BlockKinds(8, kQ4);
  going_on.kinds[2] = kStored;
  const Route route = find_route(going_on, nodes).value();
  EXPECT_EQ(other_kinds_us(route, going_on.kinds), 7 * kOtherKindUs);
  EXPECT_EQ(other_kinds_us(route, {}), 0);
  EXPECT_LT(route_cost_us(route, nodes), kOtherKindUs);
  EXPECT_LT(stage_costs(route, nodes)[0].us, kOtherKindUs);
}

TEST(BlockKinds, AreNamedByTheBlocksThatHaveThem) {
  const Hop first{peer(1), {}, {0, 3}, kQ4}, second{peer(2), {}, {3, 4}, kStored},
      third{peer(3), {}, {4, 6}, kQ4};
  EXPECT_EQ(describe_kinds(kinds_of({first, second, third})),
            "i8/q4 (blocks 0..2), f32/bf16 (block 3), i8/q4 (blocks 4..5)");
  EXPECT_EQ(describe_kinds(kinds_of({first})), "i8/q4");
  EXPECT_TRUE(is_mixed(kinds_of({first, second})));
  EXPECT_FALSE(is_mixed(kinds_of({first})));
  EXPECT_FALSE(is_mixed({}));
  EXPECT_TRUE(is_quantized(kinds_of({first})));
  EXPECT_FALSE(is_quantized(kinds_of({first, second})));
  EXPECT_FALSE(is_quantized({}));
}

TEST(BlockKinds, ChangesAreToldInSpansThatChangedAlike) {
  const BlockKinds before(6, kQ4);
  BlockKinds now = before;
  EXPECT_THAT(kind_changes(before, now), testing::IsEmpty());
  EXPECT_THAT(kind_changes({}, now), testing::IsEmpty()) << "nothing was computed yet";
  now[1] = now[2] = now[5] = kStored;
  const auto changes = kind_changes(before, now);
  EXPECT_THAT(changes, testing::ElementsAre(KindChange{{1, 3}, kQ4, kStored},
                                            KindChange{{5, 6}, kQ4, kStored}));
  EXPECT_EQ(describe_changes(changes),
            "blocks 1..2 changed from i8/q4 to f32/bf16, block 5 changed from i8/q4 to f32/bf16");
}

// As many of those that compute otherwise: should none of the kind answer, the session goes on.
TEST(BlockKinds, ThoseOfTheKindAreAskedBesideTheQuickest) {
  SwarmView swarm;
  swarm.block_count = 4;
  for (int number = 1; number <= 20; ++number) {
    NodeView seen;
    seen.peer = peer(number);
    seen.addresses = {proto::Endpoint::v4({127, 0, 0, 1}, 7000)};
    seen.offer.span = {0, 4};
    seen.offer.numerics = number <= 10 ? kStored : kQ4;
    seen.load.state = proto::NodeState::kOnline;
    seen.load.block_step_us = number;
    swarm.nodes.push_back(seen);
  }
  const auto asked = [&](const BlockKinds& kinds) {
    std::string numbers;
    for (const NodeView& seen : worth_asking(swarm, {}, kinds)) {
      numbers += std::to_string(seen.peer.bytes[0]) + " ";
    }
    return numbers;
  };
  EXPECT_EQ(asked({}), "1 2 3 4 5 6 ");
  EXPECT_EQ(asked(BlockKinds(4, kQ4)), "1 2 3 4 5 6 11 12 13 14 15 16 ");
}

TEST(Route, WhatNoNodeCouldEverHoldIsAnotherError) {
  const auto never = find_route(request(4, 2001), {node(1, {0, 4}, 10, 10, 0, 9000)});
  EXPECT_EQ(never.status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(show(never), HasSubstr("can hold a session of 2001 positions"));
}

TEST(Route, ClaimsThatMakeNoSenseDoNoHarm) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(
      show(find_route(request(4), {node(1, {0, 4}, nan, nan), node(2, {2, 90}), node(3, {3, 3})})),
      "1[0:4)");
  EXPECT_EQ(show(find_route(request(4), {node(1, {0, 4}, -5, -5)})), "1[0:4)");
}

// All simple routes by exhaustive search.
double least_cost(std::uint32_t blocks, const std::vector<Candidate>& nodes) {
  double least = std::numeric_limits<double>::infinity();
  Route route;
  std::function<void(std::uint32_t)> extend = [&](std::uint32_t from) {
    if (from == blocks) {
      least = std::min(least, route_cost_us(route, nodes));
      return;
    }
    for (const Candidate& candidate : nodes) {
      const bool used = std::any_of(route.begin(), route.end(),
                                    [&](const Hop& hop) { return hop.peer == candidate.peer; });
      if (used || !candidate.span.contains(from)) continue;
      for (std::uint32_t end = from + 1; end <= candidate.span.end; ++end) {
        route.push_back({candidate.peer, candidate.addresses, {from, end}});
        extend(end);
        route.pop_back();
      }
    }
  };
  extend(0);
  return least;
}

TEST(Route, IsTheCheapestOfAll) {
  base::Random random(1);
  int found = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<Candidate> nodes;
    const int count = 2 + static_cast<int>(random.next() % 4);
    for (int n = 0; n < count; ++n) {
      const auto begin = static_cast<std::uint32_t>(random.next() % 4);
      const auto end = begin + 1 + static_cast<std::uint32_t>(random.next() % (6 - begin));
      // Speeds within a factor that makes coming back to a peer never pay: there the route is a
      // closed one.
      nodes.push_back(node(n + 1, {begin, end}, 2000 + random.uniform() * 20'000,
                           50 + random.uniform() * 200, random.next() % 2));
    }
    const auto route = find_route(request(6), nodes);
    const double least = least_cost(6, nodes);
    if (!route.ok()) {
      ASSERT_EQ(least, std::numeric_limits<double>::infinity());
      continue;
    }
    ++found;
    ASSERT_NEAR(route_cost_us(*route, nodes), least, 0.01) << show(route);
  }
  EXPECT_GT(found, 50);
}

dht::Record record(int number, proto::Span span, proto::NodeState state = proto::NodeState::kOnline,
                   std::uint32_t blocks = 8) {
  dht::Record result;
  result.public_key.bytes[0] = static_cast<std::uint8_t>(number);
  result.load.state = state;
  result.offer.block_count = blocks;
  result.offer.span = span;
  result.offer.model_name = "tale";
  return result;
}

TEST(SwarmView, OnlyOnlineNodesServe) {
  const auto view = view_of({record(1, {0, 3}), record(2, {3, 6}, proto::NodeState::kJoining),
                             record(3, {5, 6}), record(4, {7, 8}, proto::NodeState::kDraining)},
                            proto::Digest{}, 8);
  EXPECT_EQ(view.nodes.size(), 4u);
  EXPECT_EQ(describe_blocks(view.missing()), "blocks 3..4 and 6..7");
}

TEST(SwarmView, SeparatesModelsAndDropsWhatContradicts) {
  dht::Record other = record(3, {0, 2}, proto::NodeState::kOnline, 2);
  other.offer.model_digest.bytes[0] = 9;
  dht::Record newer = record(5, {0, 8});
  newer.version_major = proto::kProtocolMajor + 1;
  const auto views = views_of({record(1, {0, 8}), record(2, {4, 8}),
                               record(4, {0, 99}, proto::NodeState::kOnline, 99), other, newer});
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views[0].block_count, 8u);
  EXPECT_EQ(views[0].nodes.size(), 2u);
  EXPECT_EQ(views[1].nodes.size(), 1u);
}

TEST(SwarmView, AnotherModelIsNamedByBothDigests) {
  proto::Digest mine;
  mine.bytes = {0xaa, 0xbb, 0xcc, 0xdd};
  const auto status = model_not_served(views_of({record(1, {0, 8})}), mine, "models/mine");
  EXPECT_THAT(std::string(status.message()), HasSubstr("aabbccdd"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("\"tale\" with digest 00000000 (1 node)"));
  EXPECT_EQ(model_not_served({}, mine, "x").code(), absl::StatusCode::kUnavailable);
}

TEST(NetworkCheck, ANodeBehindARelayIsWhereTheRelayIs) {
  const proto::Endpoint here = proto::Endpoint::v4({127, 0, 0, 1}, 7000);
  const proto::Address relayed = proto::Address::through(peer(7), here);
  EXPECT_EQ(why_out_of_reach({relayed}), "");
  EXPECT_EQ(why_out_of_reach({relayed, here}), "");
}

}  // namespace
}  // namespace shoal::client
