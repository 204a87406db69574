// SPDX-License-Identifier: Apache-2.0
// When a running node moves to other blocks: when fewer would be without a server, or when those
// that it leaves have servers to spare and others hardly any. best_move and first_move are pure;
// Rebalance is a value class that adds patience: what is seen must last, the node that helps most
// goes first, and whoever waited looks again before it goes. Time and randomness by argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "node/member/placement.h"
#include "proto/types.h"

namespace shoal::node {

struct Move {
  proto::Span from, to;
  std::vector<proto::BlockIndex> closes;  // blocks that nobody serves, and the mover would
  std::uint32_t closes_in_all = 0;        // less those that it would leave to nobody
  bool makes_room = false;  // nothing by itself: so that another can close a gap, and leave none
  double gain = 0;  // of 1 second and a row through each block that it changes: seconds less
  bool urgent() const { return closes_in_all > 0 || makes_room; }
  std::string reason() const;  // for people
};

// A move for speed must take a fifth of the time from the blocks that it changes: one that gains
// less may be lost again to a measurement that differs.
inline constexpr double kWorthMoving = 0.8;

// The best that the peer `mover` could do, if it is worth a move. `held`: runs of blocks that it
// has; empty: all. Nobody moves for speed while there is a gap.
std::optional<Move> best_move(std::span<const ServedSpan> swarm, std::uint32_t block_count,
                              const ServedSpan& mover, std::span<const proto::Span> held = {},
                              double worth = kWorthMoving);

// Whether `self` should move, and how many others should rather, for the same blocks. Everybody who
// sees the same swarm finds the same order.
struct Turn {
  Move move;
  std::uint32_t before_us = 0;
};
std::optional<Turn> first_move(std::span<const ServedSpan> swarm, std::uint32_t block_count,
                               const proto::PeerId& self, std::span<const proto::Span> held = {},
                               double worth = kWorthMoving);

struct RebalancePace {
  using Duration = std::chrono::milliseconds;
  Duration look{5'000};  // at the swarm, again
  // How long a gap is seen before anybody moves: a node that is started again is back by then. And
  // for speed, which can wait.
  Duration gap_patience{12'000}, speed_patience{180'000};
  // For each node that should rather move; and at random on top.
  Duration turn{10'000}, pause{3'000};
  // After a move: for the next gap, and for speed.
  Duration gap_rest{20'000}, speed_rest{900'000};
  // After a move that failed; doubled with each.
  Duration failure_rest{60'000};
  double worth = kWorthMoving;
};

class Rebalance {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Rebalance(const RebalancePace& pace) : pace_(pace) {}

  struct Answer {
    std::optional<Move> move;  // now
    TimePoint look_at;         // again
  };
  // `unit`: random in [0, 1).
  Answer look(std::span<const ServedSpan> swarm, std::uint32_t block_count,
              const proto::PeerId& self, std::span<const proto::Span> held, TimePoint now,
              double unit);
  void moved(TimePoint now);
  void failed(TimePoint now);

 private:
  struct Wish {
    bool urgent = false;
    std::uint32_t before_us = 0;
    TimePoint due;
  };
  Wish wish_for(const Turn& turn, TimePoint now, double unit) const;

  RebalancePace pace_;
  std::optional<Wish> wish_;
  TimePoint gap_rest_until_{}, speed_rest_until_{};
  std::uint32_t failures_ = 0;
};

}  // namespace shoal::node
