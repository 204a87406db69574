// SPDX-License-Identifier: Apache-2.0
// How well the blocks of a model are served, and what one more node would change.
#include "client/swarm/coverage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

NodeView server(std::uint8_t id, proto::Span span, double block_step_us,
                proto::NodeState state = proto::NodeState::kOnline) {
  NodeView node;
  node.peer.bytes[0] = id;
  node.offer.span = span;
  node.load.state = state;
  node.load.block_step_us = block_step_us;
  return node;
}

SwarmView swarm(std::uint32_t blocks, std::vector<NodeView> nodes) {
  SwarmView view;
  view.block_count = blocks;
  view.nodes = std::move(nodes);
  return view;
}

TEST(Coverage, CountsWhoServesAndHowFast) {
  NodeView silent = server(3, {0, 4}, 100);
  silent.silence = "does not answer";
  const auto blocks = coverage_of(
      swarm(4, {server(1, {0, 2}, 100), server(2, {1, 4}, 50), silent,
                server(4, {0, 4}, 10, proto::NodeState::kJoining), server(5, {3, 4}, 0)}));
  const double slow = 1e6 / 200, fast = 1e6 / 150;
  ASSERT_EQ(blocks.size(), 4u);
  EXPECT_EQ(blocks[0], (BlockService{1, slow}));
  EXPECT_EQ(blocks[1], (BlockService{2, slow + fast}));
  EXPECT_EQ(blocks[2], (BlockService{1, fast}));
  EXPECT_EQ(blocks[3], (BlockService{2, fast}));  // who has not measured itself counts as a server
  EXPECT_EQ(weakest(blocks), (BlockService{1, slow}));
  EXPECT_THAT(served_by(blocks, 1), ElementsAre(proto::Span{0, 1}, proto::Span{2, 3}));
  EXPECT_THAT(served_by(blocks, 0), IsEmpty());
}

TEST(Coverage, OfNobodyEverythingIsMissing) {
  const SwarmView nobody = swarm(8, {});
  EXPECT_THAT(served_by(coverage_of(nobody), 0), ElementsAre(proto::Span{0, 8}));
  EXPECT_EQ(weakest(coverage_of(nobody)), BlockService{});
  EXPECT_EQ(median_block_step_us(nobody), 0);
  EXPECT_EQ(thinnest_window(nobody, 3), (proto::Span{0, 3}));
}

TEST(Coverage, TheMedianIsOfThoseWhoServe) {
  EXPECT_EQ(median_block_step_us(swarm(
                4, {server(1, {0, 4}, 30), server(2, {0, 4}, 10), server(3, {0, 4}, 20),
                    server(4, {0, 4}, 0), server(5, {0, 4}, 1, proto::NodeState::kDraining)})),
            20);
  EXPECT_EQ(median_block_step_us(swarm(4, {server(1, {0, 4}, 30), server(2, {0, 4}, 10)})), 10);
}

TEST(Coverage, ANewcomerGoesWhereServiceIsThinnest) {
  // Block 5 by nobody; 6 and 7 by one.
  const SwarmView view =
      swarm(8, {server(1, {0, 5}, 100), server(2, {0, 5}, 100), server(3, {6, 8}, 100)});
  EXPECT_EQ(thinnest_window(view, 1), (proto::Span{5, 6}));
  EXPECT_EQ(thinnest_window(view, 3), (proto::Span{5, 8}));
  const Gain one = gain_of(view, 1, 100);
  EXPECT_EQ(one.before, BlockService{});
  EXPECT_EQ(one.after, (BlockService{1, 2 * 1e6 / 500}));  // now the two of five blocks are slowest
  // More than the model has is all of it.
  const Gain all = gain_of(view, 100, 50);
  EXPECT_EQ(all.span, (proto::Span{0, 8}));
  EXPECT_EQ(all.after.servers, 1u);
  EXPECT_DOUBLE_EQ(all.after.tokens_s, 1e6 / (50 * 8));
}

TEST(Coverage, WhoIsAboutToServeCountsForTheNewcomerAlone) {
  const SwarmView view =
      swarm(4, {server(1, {0, 2}, 100), server(2, {2, 4}, 100, proto::NodeState::kJoining),
                server(3, {2, 3}, 100, proto::NodeState::kDraining)});
  EXPECT_EQ(thinnest_window(view, 2), (proto::Span{0, 2}));
  EXPECT_THAT(served_by(coverage_of(view), 0), ElementsAre(proto::Span{2, 4}));
}

}  // namespace
}  // namespace shoal::client
