// SPDX-License-Identifier: Apache-2.0
#include "node/control/pausing.h"

namespace shoal::node {

Pausing::Act Pausing::next(bool serve, std::chrono::milliseconds patience, std::size_t sessions,
                           Time now) {
  if (serve) {
    if (state_ == State::kServing) return Act::kNothing;
    state_ = State::kServing;
    return Act::kResume;
  }
  switch (state_) {
    case State::kServing:
      drains_since_ = now;
      state_ = State::kDraining;
      return Act::kDrain;
    case State::kDraining:
      if (sessions > 0 && now - drains_since_ < patience) return Act::kNothing;
      state_ = State::kPaused;
      return Act::kPause;
    case State::kPaused:
      break;
  }
  return Act::kNothing;
}

const char* name_of(Pausing::State state) {
  switch (state) {
    case Pausing::State::kServing:
      return "serving";
    case Pausing::State::kDraining:
      return "draining";
    case Pausing::State::kPaused:
      break;
  }
  return "paused";
}

}  // namespace shoal::node
