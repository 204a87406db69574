// SPDX-License-Identifier: Apache-2.0
// How a node goes from serving to paused and back: sessions finish first, in bounded time. A value
// class without a clock; not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>

namespace shoal::node {

class Pausing {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class State { kServing, kDraining, kPaused };
  // What is to be done now.
  enum class Act {
    kNothing,
    kDrain,   // no new sessions
    kPause,   // end those that are left, and leave the swarm's view
    kResume,  // take sessions again, and say so
  };

  // `serve`: what the owner wants; `patience`: that sessions get to finish, from the first call
  // that did not want it to serve; `sessions`: that are open.
  Act next(bool serve, std::chrono::milliseconds patience, std::size_t sessions, Time now);
  State state() const { return state_; }

 private:
  State state_ = State::kServing;
  Time drains_since_{};
};

const char* name_of(Pausing::State state);  // "serving"

}  // namespace shoal::node
