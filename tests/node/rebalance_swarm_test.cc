// SPDX-License-Identifier: Apache-2.0
// Many nodes that move by themselves close every gap, soon, once, and then stay where they are: on
// a virtual clock, with views that are late.
#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "node/member/rebalance.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using TimePoint = Rebalance::TimePoint;

proto::PeerId peer_of(std::uint32_t id) {
  proto::PeerId peer;
  peer.bytes[0] = static_cast<std::uint8_t>(id >> 8);
  peer.bytes[1] = static_cast<std::uint8_t>(id);
  return peer;
}

// Many nodes on a virtual clock. Each sees the swarm as it was `kLate` before; a move takes
// `kLoading`, during which the mover serves nothing, and may fail.
class Swarm {
 public:
  static constexpr seconds kLate{2}, kLoading{15};

  Swarm(std::uint32_t blocks, std::uint64_t seed) : blocks_(blocks), random_(seed) {}

  void join(std::uint32_t size) {
    const std::vector<double> served = block_throughput(seen(), blocks_);
    const proto::Span span = choose_span(served, std::min(size, blocks_));
    const std::uint32_t id = next_id_++;
    Node node;
    node.shown = {peer_of(id), span, 5.0 + 20.0 * unit(), size < blocks_ ? size : 0};
    node.serves_at = now_ + kLoading;
    node.look_at = node.serves_at;
    nodes_.emplace(id, std::move(node));
  }
  void leave_one() {
    if (nodes_.empty()) return;
    auto leaving = nodes_.begin();
    std::advance(leaving, static_cast<long>(random_.next() % nodes_.size()));
    nodes_.erase(leaving);
  }
  std::size_t size() const { return nodes_.size(); }
  std::uint32_t capacity() const {
    std::uint32_t sum = 0;
    for (const auto& [id, node] : nodes_) sum += node.shown.span.size();
    return sum;
  }

  void run(seconds time) {
    for (const TimePoint end = now_ + time; now_ < end; now_ += milliseconds(500)) {
      views_.emplace(now_, current());
      while (views_.size() > 1 && std::next(views_.begin())->first + kLate <= now_) {
        views_.erase(views_.begin());
      }
      for (auto& [id, node] : nodes_) look(node);
    }
  }
  // Blocks that nobody serves, or is about to.
  std::uint32_t gaps() const {
    const auto throughput = block_throughput(current(), blocks_);
    return static_cast<std::uint32_t>(std::ranges::count(throughput, 0.0));
  }
  int moves = 0;
  double failing = 0;  // of moves

 private:
  struct Node {
    ServedSpan shown;
    TimePoint serves_at, look_at;
    Rebalance rebalance{RebalancePace{}};
  };

  double unit() { return random_.uniform(); }
  std::vector<ServedSpan> current() const {
    std::vector<ServedSpan> swarm;
    for (const auto& [id, node] : nodes_) {
      swarm.push_back(node.shown);
      if (node.serves_at > now_) swarm.back().movable = 0;
    }
    return swarm;
  }
  std::vector<ServedSpan> seen() const {
    return views_.empty() ? std::vector<ServedSpan>() : views_.begin()->second;
  }
  void look(Node& node) {
    if (now_ < node.look_at || now_ < node.serves_at) return;
    // Of ourselves we know what is.
    std::vector<ServedSpan> swarm = seen();
    std::erase_if(swarm, [&](const ServedSpan& peer) { return peer.peer == node.shown.peer; });
    swarm.push_back(node.shown);
    const auto answer = node.rebalance.look(swarm, blocks_, node.shown.peer, {}, now_, unit());
    node.look_at = answer.look_at;
    if (!answer.move) return;
    ++moves;
    if (unit() < failing) return node.rebalance.failed(now_);
    node.rebalance.moved(now_);
    node.shown.span = answer.move->to;
    node.serves_at = now_ + kLoading;
  }

  const std::uint32_t blocks_;
  base::Random random_;
  TimePoint now_{seconds(10'000)};
  std::uint32_t next_id_ = 1;
  std::map<std::uint32_t, Node> nodes_;
  std::map<TimePoint, std::vector<ServedSpan>> views_;
};

struct Case {
  std::uint32_t blocks, nodes, least, most;
};

class RebalanceSwarm : public testing::TestWithParam<Case> {};

TEST_P(RebalanceSwarm, ClosesEveryGapThatItCanAndSettles) {
  const Case& param = GetParam();
  int moves = 0, leaves = 0, still_open = 0;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Swarm swarm(param.blocks, seed);
    base::Random random(seed * 7919);
    const auto size = [&] {
      return param.least +
             static_cast<std::uint32_t>(random.next() % (param.most - param.least + 1));
    };
    for (std::uint32_t i = 0; i < param.nodes; ++i) {
      swarm.join(size());
      swarm.run(seconds(3));
    }
    for (int event = 0; event < 20; ++event) {
      // As many as at first, and never less than what holds the model with a third to spare.
      if (swarm.size() > param.nodes / 2 && swarm.capacity() * 3 > param.blocks * 4) {
        swarm.leave_one();
        ++leaves;
      }
      if (swarm.size() < param.nodes) swarm.join(size());
      swarm.run(seconds(60));
      if (swarm.capacity() * 3 > param.blocks * 4 && swarm.gaps() > 0) ++still_open;
    }
    swarm.run(seconds(1'800));
    EXPECT_EQ(swarm.gaps(), 0u) << "seed " << seed;
    const int before = swarm.moves;
    swarm.run(seconds(1'800));
    EXPECT_EQ(swarm.moves, before) << "seed " << seed << " does not settle";
    moves += swarm.moves;
  }
  RecordProperty("moves", moves);
  RecordProperty("leaves", leaves);
  RecordProperty("still_open", still_open);
  std::printf("%u blocks, %u nodes: %d left, %d moves, %d of 100 gaps open after 60 s\n",
              param.blocks, param.nodes, leaves, moves, still_open);
  EXPECT_LE(moves, 2 * leaves + 10);
  EXPECT_LE(still_open, 10);
}

INSTANTIATE_TEST_SUITE_P(Swarms, RebalanceSwarm,
                         testing::Values(Case{22, 3, 12, 14}, Case{22, 6, 5, 8}, Case{32, 12, 4, 8},
                                         Case{80, 60, 2, 12}, Case{48, 80, 1, 16}));

TEST(RebalanceSwarms, MovesThatFailAreNotTriedWithoutEnd) {
  Swarm swarm(16, 3);
  swarm.failing = 1;
  for (int i = 0; i < 4; ++i) {
    swarm.join(4);  // all at once: with a view that is late they choose alike
  }
  swarm.run(seconds(3'600));
  EXPECT_GT(swarm.moves, 0);
  EXPECT_LT(swarm.moves, 4 * 12);
}

TEST(RebalanceSwarms, NodesThatChoseAlikeSpreadByThemselves) {
  Swarm swarm(22, 5);
  for (int i = 0; i < 3; ++i) swarm.join(12);
  EXPECT_EQ(swarm.gaps(), 10u);
  swarm.run(seconds(60));
  EXPECT_EQ(swarm.gaps(), 0u);
  EXPECT_EQ(swarm.moves, 1);
}

}  // namespace
}  // namespace shoal::node
