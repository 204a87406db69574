// SPDX-License-Identifier: Apache-2.0
// What this machine did for the swarm: in this run of the program, and since its first day, which
// is kept beside the identity. Logs a line every hour and one at the end. One thread tends it; the
// book is for sessions, the rest for any thread. Owns the book and the meter.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/mutex.h"
#include "node/account/energy_meter.h"
#include "node/account/ledger.h"
#include "node/account/service_book.h"
#include "node/account/tally.h"

namespace shoal::node {

// What is seen of the node at a moment.
struct NodeMoment {
  bool paused = false;
  double computing_s = 0;          // of its device, since that was started
  std::uint64_t kv_positions = 0;  // of KV in use
};

class Account {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Options {
    std::string file;  // empty: of this run only
    std::function<void(const std::string&)> info, warn;
    std::int64_t unix_s = 0;  // the time of the start
    Time now;
  };

  // A ledger that is damaged is begun anew, with a warning.
  Account(Options options, EnergyMeter meter);

  ServiceBook& book() { return book_; }
  void count_gpus();

  // About once a second; nullopt: no node is there (yet, or while it is paused and has given its
  // memory back).
  void tend(const std::optional<NodeMoment>& moment, Time now);
  // Adds what this run did to the file, now and not only in a while.
  void save();
  // The last lines; saves. Idempotent.
  void close(Time now);

  Tally run() const;
  Tally hour() const;            // since the last full hour of the run
  Ledger since_day_one() const;  // this run included
  std::string energy_sources() const;

 private:
  Tally run_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Ledger all_locked(const Tally& run) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const LedgerFile file_;
  ServiceBook book_;
  bool keeps_ = true;    // a file that cannot be read is not written over
  bool warned_ = false;  // that it cannot be written
  bool closed_ = false;
  std::optional<Time> tended_, saved_;
  Time hour_began_;
  double device_s_ = 0;  // computing_s of the moment before

  mutable base::Mutex mutex_;
  // As the file had it last, and how much of this run was in it: a successor that takes over, and
  // the one that still finishes sessions, both add to it.
  Ledger kept_ ABSL_GUARDED_BY(mutex_);
  Tally kept_run_ ABSL_GUARDED_BY(mutex_);
  EnergyMeter meter_ ABSL_GUARDED_BY(mutex_);
  Tally seen_ ABSL_GUARDED_BY(mutex_);  // what sessions do not tell
  Tally at_hour_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::node
