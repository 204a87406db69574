// SPDX-License-Identifier: Apache-2.0
// "The user wants out": a flag that a signal handler, or another thread, raises, and that every
// wait of the client looks at at least each kInterruptPoll. May be used from any thread, trigger()
// also from a signal handler.
#pragma once

#include <atomic>
#include <chrono>

#include "absl/status/status.h"

namespace shoal::client {

inline constexpr std::chrono::milliseconds kInterruptPoll{50};

class Interrupt {
 public:
  void trigger(int signal) { signal_.store(signal, std::memory_order_relaxed); }
  bool triggered() const { return signal() != 0; }
  int signal() const { return signal_.load(std::memory_order_relaxed); }  // 0: none
  absl::Status status() const {
    return triggered() ? absl::CancelledError("interrupted") : absl::OkStatus();
  }

 private:
  std::atomic<int> signal_{0};
  static_assert(std::atomic<int>::is_always_lock_free);
};

// SIGINT, SIGTERM and SIGHUP raise the returned flag; a second one ends the process at once with
// 128 + signal.
Interrupt& interrupt_by_signals();

}  // namespace shoal::client
