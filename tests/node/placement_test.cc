// SPDX-License-Identifier: Apache-2.0
// Placement covers the worst-served blocks first. Vectors: docs/design.md names their source
// (Petals, run as published).
#include "node/member/placement.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "identity/identity.h"

namespace shoal::node {
namespace {

ServedSpan server(std::uint8_t id, std::uint32_t begin, std::uint32_t end, double throughput) {
  ServedSpan result;
  result.peer.bytes[0] = id;
  result.span = {begin, end};
  result.throughput = throughput;
  return result;
}

proto::Span choice(std::vector<ServedSpan> servers, std::uint32_t block_count, std::uint32_t size) {
  return choose_span(block_throughput(std::move(servers), block_count), size);
}

TEST(Placement, EmptySwarmStartsAtTheFirstBlock) {
  EXPECT_EQ(choice({}, 8, 3), (proto::Span{0, 3}));
}

TEST(Placement, CoversWhatNobodyServes) {
  EXPECT_EQ(choice({server(1, 0, 5, 1)}, 8, 3), (proto::Span{5, 8}));
  EXPECT_EQ(choice({server(1, 0, 5, 1)}, 8, 5), (proto::Span{3, 8}));
}

TEST(Placement, StrengthensTheSlowestBlocks) {
  EXPECT_EQ(choice({server(1, 0, 8, 10), server(2, 0, 4, 5)}, 8, 2), (proto::Span{4, 6}));
}

TEST(Placement, PrefersTheWorstBlockOverTheWorstAverage) {
  // 24 blocks: 0:5 twice, 5:19 strong, 19:24 by nobody.
  EXPECT_EQ(choice({server(1, 0, 5, 1), server(2, 0, 5, 1), server(3, 5, 19, 4)}, 24, 5),
            (proto::Span{19, 24}));
}

TEST(Placement, WholeModelHasOneWindow) {
  EXPECT_EQ(choice({server(1, 0, 4, 1)}, 8, 8), (proto::Span{0, 8}));
}

TEST(Placement, SumsDoNotDependOnTheOrderOfRecords) {
  std::vector<ServedSpan> servers = {server(3, 0, 2, 0.1), server(1, 0, 2, 0.2),
                                     server(2, 0, 2, 0.3)};
  const auto forward = block_throughput(servers, 2);
  std::reverse(servers.begin(), servers.end());
  EXPECT_EQ(forward, block_throughput(servers, 2));
}

dht::Record record(proto::NodeState state, proto::Span span) {
  dht::Record record;
  record.public_key = identity::Identity::generate().public_key();
  record.load.state = state;
  record.offer.span = span;
  record.offer.block_count = 8;
  record.load.block_step_us = 50;
  return record;
}

TEST(Placement, ANodeOfPartsChoosesAmongWhatItHas) {
  const std::vector<double> throughput = {0, 0, 5, 5, 1, 2, 0, 9};
  const std::vector<proto::Span> held = {{2, 5}, {6, 8}};
  EXPECT_EQ(choose_span(throughput, 2), (proto::Span{0, 2}));  // if it had all
  EXPECT_EQ(choose_span(throughput, 2, held), (proto::Span{6, 8}));
  EXPECT_EQ(choose_span(throughput, 1, held), (proto::Span{6, 7}));
  EXPECT_EQ(choose_span(throughput, 3, held), (proto::Span{2, 5}));
  EXPECT_EQ(choose_span(throughput, 8, held), (proto::Span{2, 5}));  // as many as there are
}

TEST(Placement, OnlyNodesThatStayCount) {
  const proto::Digest digest;
  std::vector<dht::Record> records = {
      record(proto::NodeState::kJoining, {0, 2}), record(proto::NodeState::kOnline, {2, 4}),
      record(proto::NodeState::kDraining, {4, 6}), record(proto::NodeState::kOffline, {6, 8})};
  const auto servers = served_spans(records, digest, 8, {});
  ASSERT_EQ(servers.size(), 2u);
  EXPECT_EQ(servers[0].span, (proto::Span{0, 2}));
  EXPECT_EQ(servers[1].span, (proto::Span{2, 4}));
  EXPECT_DOUBLE_EQ(servers[0].throughput, 20'000);
}

TEST(Placement, IgnoresOurselvesOtherModelsAndSpansBeyondTheModel) {
  const proto::Digest digest;
  std::vector<dht::Record> records = {
      record(proto::NodeState::kOnline, {0, 2}), record(proto::NodeState::kOnline, {0, 2}),
      record(proto::NodeState::kOnline, {0, 9}), record(proto::NodeState::kOnline, {3, 3})};
  records[1].offer.model_digest.bytes[0] = 1;
  EXPECT_TRUE(served_spans(records, digest, 8, records[0].peer_id()).empty());
  EXPECT_EQ(served_spans(records, digest, 8, {}).size(), 1u);
}

TEST(Placement, ANodeThatHasNotMeasuredItselfCountsAsSlow) {
  auto unknown = record(proto::NodeState::kJoining, {0, 2});
  unknown.load.block_step_us = 0;
  const std::vector<dht::Record> records = {unknown};
  const auto servers = served_spans(records, {}, 8, {});
  ASSERT_EQ(servers.size(), 1u);
  EXPECT_GT(servers[0].throughput, 0);
  EXPECT_LT(servers[0].throughput, 100);
}

TEST(Placement, ANodeThatMovesCountsWhereItGoes) {
  auto moving = record(proto::NodeState::kDraining, {0, 2});
  moving.load.moving_to = {4, 6};
  moving.offer.movable_blocks = 2;
  auto movable = record(proto::NodeState::kOnline, {0, 2});
  movable.offer.movable_blocks = 2;
  const auto servers = served_spans({{moving, movable}}, {}, 8, {});
  ASSERT_EQ(servers.size(), 2u);
  EXPECT_EQ(servers[0].span, (proto::Span{4, 6}));
  EXPECT_EQ(servers[0].movable, 0u) << "it is on its way";
  EXPECT_EQ(servers[1].movable, 2u);
  moving.load.moving_to = {4, 9};  // beyond the model
  EXPECT_TRUE(served_spans({{moving}}, {}, 8, {}).empty());
}

TEST(Placement, OfThoseThatChooseTogetherTheEarlierKeepsItsChoice) {
  const auto joining = [](std::uint8_t id, std::uint64_t sequence) {
    ServedSpan result = server(id, 0, 4, 1);
    result.joining = true;
    result.sequence = sequence;
    return result;
  };
  const proto::PeerId self = server(5, 0, 1, 1).peer;
  const auto ids = [&](const std::vector<ServedSpan>& servers, std::set<proto::PeerId> known) {
    std::string text;
    for (const ServedSpan& each : heeded(servers, known, 100, self)) {
      text += std::to_string(each.peer.bytes[0]) + " ";
    }
    return text;
  };
  EXPECT_EQ(ids({joining(1, 99), joining(2, 101), joining(3, 100), joining(9, 100)}, {}), "1 3 ");
  EXPECT_EQ(ids({joining(2, 101)}, {server(2, 0, 1, 1).peer}), "2 ") << "it was there before";
  EXPECT_EQ(ids({server(7, 0, 4, 1)}, {}), "7 ") << "it serves";
}

TEST(Placement, AnotherSpanIsTakenOnlyForABetterOne) {
  const std::vector<proto::Span> all = {{0, 4}};
  EXPECT_FALSE(better_span(std::vector<double>{0, 0, 0, 0}, {2, 4}, all).has_value()) << "a tie";
  EXPECT_EQ(*better_span(std::vector<double>{0, 0, 1, 1}, {2, 4}, all), (proto::Span{0, 2}));
  EXPECT_FALSE(better_span(std::vector<double>{0, 0, 1, 1}, {2, 4}, {{{2, 4}}}).has_value());
}

}  // namespace
}  // namespace shoal::node
