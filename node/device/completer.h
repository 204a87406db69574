// SPDX-License-Identifier: Apache-2.0
// Tells sessions what the device computed, on a thread of its own: encoding and sending do not keep
// the device from the next batch. (Where there is no next batch, the device's thread may do it.) In
// the order in which steps were computed, so in order per session. Bounded: while too much waits
// here the device thread waits in put(), for computing further ahead of what leaves would gain
// nothing. Thread-safe; owns its thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "node/device/step.h"

namespace shoal::node {

// Results that wait, in bytes: a few batches of wide rows. (Steps that wait to be computed are
// bounded by the scheduler; these have left it.)
inline constexpr std::size_t kMostUntoldBytes = 8u << 20;
// What is encoded in less time than a thread takes to wake: a row or two of a wide model.
inline constexpr std::size_t kMostToldAtOnce = 64u << 10;

class Completer {
 public:
  explicit Completer(std::size_t most_bytes = kMostUntoldBytes);
  ~Completer();  // stops, and joins
  Completer(const Completer&) = delete;
  Completer& operator=(const Completer&) = delete;

  // Takes the completions of one batch, after what waits has left room for them; a batch that is
  // larger than all the room waits until it is alone.
  void put(std::vector<Completion> batch);
  // For a caller that has nothing to compute: when nothing waits here, and the batch is small, it
  // is told at once on the caller's thread, which spares the step of a lone session the wake-up of
  // another thread. Otherwise as put(). Not while another thread is in put() or here: the order
  // would be theirs.
  void put_idle(std::vector<Completion> batch);
  // What waits is dropped and never told; no more is taken. Does not wait for what is being told.
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Waiting {
    Completion completion;
    Clock::time_point since;
    std::size_t bytes = 0;
  };

  void loop();
  bool telling() const;  // or something waits
  // The next to be told; false after stop().
  bool take(Waiting& next);

  const std::size_t most_bytes_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mutex_);
  std::size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // with what is being told
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace shoal::node
