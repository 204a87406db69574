// SPDX-License-Identifier: Apache-2.0
// How long a run waits for what it has lost: by time, whatever the number of tries. Quick at first,
// then once a second. Pure: time comes in by argument.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

namespace shoal::client {

class Patience {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::milliseconds;

  static constexpr Duration kFirstPause{100}, kMostPause{1'000};
  // A hop may ask for patience, but nobody waits longer than this without a look at the others.
  static constexpr Duration kMostAsked{5'000};

  explicit Patience(Duration wait) : wait_(wait) {}

  // A try failed: how long until the next one, which is at once after the first; nullopt when the
  // time is over. `asked`: what a hop asked for.
  std::optional<Duration> failed(Time now, Duration asked = Duration(0)) {
    if (!since_) since_ = now;
    const int times = failures_++;
    const auto left = std::chrono::duration_cast<Duration>(*since_ + wait_ - now);
    if (times == 0 && asked <= Duration(0)) return Duration(0);
    if (left <= Duration(0)) return std::nullopt;
    const Duration pause = kFirstPause * (1 << std::min(std::max(times - 1, 0), 4));
    return std::min(left, std::max(std::min(pause, kMostPause), std::min(asked, kMostAsked)));
  }
  void worked() {
    since_.reset();
    failures_ = 0;
  }

  bool over(Time now) const { return since_ && now - *since_ >= wait_; }
  Duration wait() const { return wait_; }
  int failures() const { return failures_; }  // in a row
  Duration waited(Time now) const {
    return since_ ? std::chrono::duration_cast<Duration>(now - *since_) : Duration(0);
  }

 private:
  const Duration wait_;
  std::optional<Time> since_;  // the first failure in a row
  int failures_ = 0;
};

}  // namespace shoal::client
