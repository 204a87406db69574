// SPDX-License-Identifier: Apache-2.0
// Counts what sessions do, as they tell it, and logs those that open, end or lose a hop. Thread-
// safe: sessions call it from any thread, with no lock of theirs held. Owns its counts; a run of
// the program has one, which outlives all its nodes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "node/account/session_log.h"
#include "node/account/tally.h"

namespace shoal::node {

class ServiceBook {
 public:
  using Say = std::function<void(const std::string&)>;
  using Time = SessionLog::Time;

  explicit ServiceBook(Say say) : say_(std::move(say)) {}

  void opened(const SessionStart& start, Time now);
  void ended(const SessionEnd& end, Time now);
  void lost(const LostHop& hop, Time now);
  // As it happens, so that a session that lasts for hours counts before it ends.
  void received(std::uint64_t bytes) { bytes_in_ += bytes; }
  void sent(std::uint64_t bytes) { bytes_out_ += bytes; }
  void computed(std::uint64_t rows) { (rows > 1 ? prefill_tokens_ : decode_tokens_) += rows; }

  void tend(Time now);  // about once a second
  void close();         // what was not told yet

  // Of sessions: their numbers, tokens, bytes and time.
  Tally tally() const;

 private:
  void say(const std::optional<std::string>& line) const {
    if (line) say_(*line);
  }

  const Say say_;
  std::atomic<std::uint64_t> bytes_in_ = 0, bytes_out_ = 0;
  std::atomic<std::uint64_t> prefill_tokens_ = 0, decode_tokens_ = 0;
  mutable base::Mutex mutex_;
  SessionLog log_ ABSL_GUARDED_BY(mutex_);
  Tally sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::node
