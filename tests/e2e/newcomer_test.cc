// SPDX-License-Identifier: Apache-2.0
// Where the client says that one more node would go, it goes: node/ and client/ know nothing of
// each other, and follow one rule.
#include <gtest/gtest.h>

#include <random>

#include "client/swarm/coverage.h"
#include "node/member/placement.h"

namespace shoal::tests {
namespace {

TEST(Newcomer, GoesWhereTheClientSays) {
  std::mt19937_64 random(5);
  const auto below = [&](std::uint64_t most) { return random() % most; };
  for (int trial = 0; trial < 300; ++trial) {
    client::SwarmView view;
    view.block_count = static_cast<std::uint32_t>(1 + below(40));
    std::vector<node::ServedSpan> servers;
    for (std::uint64_t i = below(12); i > 0; --i) {
      client::NodeView node;
      for (std::uint8_t& byte : node.peer.bytes) byte = static_cast<std::uint8_t>(below(256));
      node.offer.span.begin = static_cast<proto::BlockIndex>(below(view.block_count));
      node.offer.span.end = static_cast<proto::BlockIndex>(
          node.offer.span.begin + 1 + below(view.block_count - node.offer.span.begin));
      node.load.state = below(4) == 0 ? proto::NodeState::kJoining : proto::NodeState::kOnline;
      node.load.block_step_us = static_cast<double>(50 * (1 + below(4)));
      servers.push_back({node.peer, node.offer.span, 1e6 / node.load.block_step_us});
      view.nodes.push_back(node);
    }
    const auto size = static_cast<std::uint32_t>(1 + below(view.block_count));
    EXPECT_EQ(client::thinnest_window(view, size),
              node::choose_span(node::block_throughput(servers, view.block_count), size));
  }
}

}  // namespace
}  // namespace shoal::tests
