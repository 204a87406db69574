// SPDX-License-Identifier: Apache-2.0
// The clock of one peer against the world's: another origin, a rate that is slightly off, and jumps
// (a machine that slept). It never runs backwards, as steady clocks do not. Value class.
#pragma once

#include <cmath>

#include "dht/time.h"

namespace shoal::sim {

class LocalClock {
 public:
  LocalClock() = default;  // the world's own time
  LocalClock(dht::TimePoint world, dht::TimePoint local, double rate)
      : world_(world), local_(local), rate_(rate) {}

  dht::TimePoint local(dht::TimePoint world) const {
    if (rate_ == 1) return local_ + (world - world_);
    return local_ + scaled(world - world_, rate_);
  }
  // The first point in world time at which this clock shows at least `local`.
  dht::TimePoint world(dht::TimePoint local) const {
    if (rate_ == 1) return world_ + (local - local_);
    dht::TimePoint result = world_ + scaled(local - local_, 1 / rate_);
    while (this->local(result) < local) result += dht::Duration(1);
    return result;
  }
  void jump(dht::TimePoint world, dht::Duration forward) {
    *this = LocalClock(world, local(world) + forward, rate_);
  }
  double rate() const { return rate_; }

 private:
  static dht::Duration scaled(dht::Duration duration, double factor) {
    return dht::Duration(std::llround(static_cast<double>(duration.count()) * factor));
  }

  dht::TimePoint world_{}, local_{};
  double rate_ = 1;
};

}  // namespace shoal::sim
