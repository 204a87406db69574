// SPDX-License-Identifier: Apache-2.0
// So many at once, and so many a second in the long run. Pure; one thread.
#pragma once

#include <algorithm>
#include <chrono>

namespace shoal::net {

struct Rate {
  double burst = 0;
  double per_second = 0;
};

class TokenBucket {
 public:
  using Time = std::chrono::steady_clock::time_point;

  TokenBucket(Rate rate, Time now) : rate_(rate), level_(rate.burst), filled_(now) {}

  bool take(Time now, double count = 1) {
    fill(now);
    if (level_ < count) return false;
    level_ -= count;
    return true;
  }
  // Takes in any case; when it has been paid for: `now`, or later.
  Time charge(Time now, double count) {
    fill(now);
    level_ -= count;
    if (level_ >= 0) return now;
    return now + std::chrono::ceil<Time::duration>(
                     std::chrono::duration<double>(-level_ / rate_.per_second));
  }
  // What somebody has earned besides; never beyond the burst.
  void grant(double count) { level_ = std::min(level_ + count, rate_.burst); }
  bool is_full(Time now) { return has(now, rate_.burst); }
  bool has(Time now, double count) {
    fill(now);
    return level_ >= count;
  }
  const Rate& rate() const { return rate_; }

 private:
  void fill(Time now) {
    if (now <= filled_) return;
    grant(std::chrono::duration<double>(now - filled_).count() * rate_.per_second);
    filled_ = now;
  }

  Rate rate_;
  double level_;
  Time filled_;
};

}  // namespace shoal::net
