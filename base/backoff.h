// SPDX-License-Identifier: Apache-2.0
// Asking again and again for what tells nobody when it is there: at first without rest, then at
// ever longer intervals, so that it is noticed an eighth later than it could be. One thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace shoal::base {

class Backoff {
 public:
  using Clock = std::chrono::steady_clock;

  // Awake for so long: whoever sleeps less than it costs to be woken gains nothing.
  Backoff(Clock::duration awake, Clock::duration longest_sleep)
      : awake_(awake), longest_sleep_(longest_sleep) {}

  // Between two asks.
  void wait() {
    const Clock::duration waited = this->waited();
    if (waited < awake_) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::min(waited / kSleptPart, longest_sleep_));
    }
  }
  // Since the first ask, or since reset().
  Clock::duration waited() const { return Clock::now() - began_; }
  void reset() { began_ = Clock::now(); }

 private:
  static constexpr int kSleptPart = 8;

  const Clock::duration awake_, longest_sleep_;
  Clock::time_point began_ = Clock::now();
};

}  // namespace shoal::base
