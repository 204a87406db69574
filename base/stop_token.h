// SPDX-License-Identifier: Apache-2.0
// "Whoever waits should give up": raised once, by another thread or by a signal handler, and looked
// at by every wait that may last, at least each kStopPoll. May be used from any thread.
#pragma once

#include <atomic>
#include <chrono>

#include "absl/status/status.h"

namespace shoal::base {

inline constexpr std::chrono::milliseconds kStopPoll{50};

class StopToken {
 public:
  StopToken() = default;
  StopToken(const StopToken&) = delete;
  StopToken& operator=(const StopToken&) = delete;

  // `signal`: why, for the exit status; safe in a signal handler.
  void stop(int signal) { signal_.store(signal, std::memory_order_relaxed); }
  bool stopped() const { return signal() != 0; }
  int signal() const { return signal_.load(std::memory_order_relaxed); }  // 0: none
  absl::Status status() const {
    return stopped() ? absl::CancelledError("interrupted") : absl::OkStatus();
  }

 private:
  std::atomic<int> signal_{0};
  static_assert(std::atomic<int>::is_always_lock_free);
};

}  // namespace shoal::base
