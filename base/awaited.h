// SPDX-License-Identifier: Apache-2.0
// One value that another thread will bring, awaited with a deadline and an eye on who wants out.
// The promise may outlive the waiter and bring its value to nobody. Thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "base/stop_token.h"

namespace shoal::base {

template <typename T>
class Awaited {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // Brings the value; the first one counts.
  auto setter() const {
    return [state = state_](T value) {
      {
        const MutexLock lock(state->mutex);
        if (state->value) return;
        state->value = std::move(value);
      }
      state->arrived.notify_all();
    };
  }

  // nullopt after the deadline or a stop.
  std::optional<T> wait(Deadline deadline, const StopToken& stop) {
    const MutexLock lock(state_->mutex);
    while (!state_->value) {
      const auto now = std::chrono::steady_clock::now();
      if (now >= deadline || stop.stopped()) return std::nullopt;
      state_->arrived.wait_until(state_->mutex, std::min(deadline, now + kStopPoll));
    }
    return std::move(state_->value);
  }

 private:
  struct State {
    Mutex mutex;
    CondVar arrived;
    std::optional<T> value ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// False when stopped on the way.
inline bool sleep_for(std::chrono::milliseconds time, const StopToken& stop) {
  Awaited<bool> never;
  never.wait(std::chrono::steady_clock::now() + time, stop);
  return !stop.stopped();
}

}  // namespace shoal::base
