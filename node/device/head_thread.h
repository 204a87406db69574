// SPDX-License-Identifier: Apache-2.0
// Scores the rows that leave the last block, on a thread of its own: the blocks compute on
// meanwhile. Rows of all sessions that wait go through the head in one call, for a wide vocabulary
// is read whole for each; as the head is row-invariant, each gets the bits that it would get alone.
// In order per session. Bounded: what is too much is refused. Thread-safe; owns its thread, and
// calls what it completes there, without a lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "node/device/scheduler.h"
#include "node/device/span_ends.h"
#include "node/device/step.h"
#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::node {

// Rows of one call: what they make of logits is 20 MB for a vocabulary of 150,000.
inline constexpr std::int64_t kHeadRows = 32;
// Rows that wait for the head, in bytes; half of it of one peer. Streams are not read while half of
// it is full: what had come by then fills the device's queue, and then the rest of this.
inline constexpr std::size_t kMaxHeadBytes = 2 * proto::kMaxInboxBytes;

struct HeadStats {
  std::uint64_t rows = 0;
  std::uint64_t calls = 0;
};

class HeadThread {
 public:
  // `check`: asked before results leave, as the weights may have changed under them.
  HeadThread(std::shared_ptr<const SpanEnds> ends, std::function<absl::Status()> check,
             std::size_t most_bytes = kMaxHeadBytes);
  ~HeadThread();  // end()
  HeadThread(const HeadThread&) = delete;
  HeadThread& operator=(const HeadThread&) = delete;

  // Takes out of `batch` what is to be scored, and what must not come before it.
  void take(std::vector<Completion>& batch);
  // As Scheduler: whether steps of the session wait here while more than `part` of the room is
  // full.
  bool crowded(SessionKey key, double part) const;
  HeadStats stats() const;
  // What waits of a session that has ended is dropped and never told.
  void close(SessionKey key);
  // The same of all sessions; nothing more is taken.
  void stop();
  void end();  // stop(), and joins; idempotent

 private:
  struct Waiting {
    Completion completion;
    std::size_t rows = 0;  // that are scored: the last ones of output.x
    std::size_t done = 0;  // of them
    bool in_call = false;  // the thread has it
    bool dropped = false;  // nobody is to be told
    std::chrono::steady_clock::time_point since;
    std::chrono::steady_clock::duration took{};
    std::size_t bytes = 0;
    std::vector<proto::RowScores> scores;  // [rows]
  };
  struct Part {  // of one call
    Waiting* of = nullptr;
    std::size_t rows = 0;
  };

  void loop();
  bool choose(std::vector<Part>& parts);  // waits; false after stop()
  // Scores of the parts' rows; what went wrong is all the parts'.
  absl::Status compute(const std::vector<Part>& parts);
  // Those whose rows are done, and what waited behind them.
  std::vector<Waiting> finished(const std::vector<Part>& parts, const absl::Status& status);
  // What of the session the thread has not: out of `waiting_`.
  std::deque<Waiting> drop(std::map<SessionKey, std::deque<Waiting>>::iterator session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void forget(const Waiting& step) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void enter(Completion completion, std::size_t rows) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<const SpanEnds> ends_;
  const std::function<absl::Status()> check_;
  const std::size_t most_bytes_;
  std::vector<float> rows_, logits_;  // of one call

  mutable base::Mutex mutex_;
  base::CondVar changed_;
  // By session, in their order; the first of each is the thread's while it computes.
  std::map<SessionKey, std::deque<Waiting>> waiting_ ABSL_GUARDED_BY(mutex_);
  SessionKey last_turn_ ABSL_GUARDED_BY(mutex_) = 0;  // the session that had rows in it last
  std::size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<proto::PeerId, std::size_t> of_peer_ ABSL_GUARDED_BY(mutex_);
  HeadStats stats_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace shoal::node
