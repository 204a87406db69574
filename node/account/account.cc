// SPDX-License-Identifier: Apache-2.0
#include "node/account/account.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "node/account/amounts.h"

namespace shoal::node {
namespace {

constexpr std::chrono::hours kSummaryInterval{1};
// What a machine that loses power loses of the account.
constexpr std::chrono::minutes kSaveInterval{5};

double seconds_between(Account::Time from, Account::Time to) {
  return std::max(0.0, std::chrono::duration<double>(to - from).count());
}

}  // namespace

Account::Account(Options options, EnergyMeter meter)
    : options_(std::move(options)),
      file_(options_.file),
      book_(options_.info),
      hour_began_(options_.now),
      meter_(std::move(meter)) {
  auto ledger = file_.load();
  const base::MutexLock lock(mutex_);
  if (ledger.ok()) {
    kept_ = *std::move(ledger);
    return;
  }
  kept_.since_unix_s = options_.unix_s;
  if (absl::IsNotFound(ledger.status())) return;
  const std::string why(ledger.status().message());
  if (absl::IsDataLoss(ledger.status())) {
    options_.warn(why + "; what this node does is counted anew");
  } else {
    keeps_ = false;
    options_.warn(why + "; what this node does is counted for this run only");
  }
}

void Account::count_gpus() {
  const base::MutexLock lock(mutex_);
  meter_.count_gpus();
}

void Account::tend(const std::optional<NodeMoment>& moment, Time now) {
  book_.tend(now);
  const double passed = tended_ ? seconds_between(*tended_, now) : 0;
  tended_ = now;
  std::optional<std::string> hourly;
  {
    const base::MutexLock lock(mutex_);
    seen_.up_s += passed;
    if (!moment || moment->paused) seen_.paused_s += passed;
    // A device that was started anew counts from 0.
    const double device_s = moment ? moment->computing_s : 0;
    seen_.computing_s += device_s >= device_s_ ? device_s - device_s_ : device_s;
    device_s_ = device_s;
    if (moment) {
      seen_.peak_kv_positions = std::max(seen_.peak_kv_positions, moment->kv_positions);
    }
    if (const auto joules = meter_.take(now)) {
      seen_.energy_j += *joules;
      seen_.energy_s += passed;
    }
    if (now - hour_began_ >= kSummaryInterval) {
      const Tally run = run_locked();
      hourly = "in the last hour: " + tally_text(since(run, at_hour_));
      at_hour_ = run;
      hour_began_ = now;
    }
  }
  if (hourly) options_.info(*hourly);
  if (saved_ && now - *saved_ < kSaveInterval) return;
  saved_ = now;
  save();
}

void Account::close(Time now) {
  if (std::exchange(closed_, true)) return;
  if (tended_) {
    const base::MutexLock lock(mutex_);
    seen_.up_s += seconds_between(*tended_, now);
  }
  book_.close();
  const Tally run = this->run();
  const Ledger all = since_day_one();
  options_.info(fmt::format("in this run of {}: {}", duration_text(run.up_s), tally_text(run)));
  if (keeps_ && !file_.path().empty() && all.tally.up_s > run.up_s) {
    options_.info(fmt::format("since {}, running for {}: {}", date_text(all.since_unix_s),
                              duration_text(all.tally.up_s), tally_text(all.tally)));
  }
  save();
}

void Account::save() {
  if (!keeps_) return;
  const auto there = file_.load();
  Tally run;
  Ledger all;
  {
    const base::MutexLock lock(mutex_);
    if (there.ok()) kept_ = *there;
    run = run_locked();
    all = all_locked(run);
  }
  const absl::Status saved = file_.save(all);
  if (saved.ok()) {
    const base::MutexLock lock(mutex_);
    kept_ = all;
    kept_run_ = run;
  }
  const bool warn = !saved.ok() && !warned_;
  warned_ = !saved.ok();
  if (warn) options_.warn(std::string(saved.message()) + "; it is tried again every 5 minutes");
}

Tally Account::run_locked() const { return book_.tally() + seen_; }

Tally Account::run() const {
  const base::MutexLock lock(mutex_);
  return run_locked();
}

Tally Account::hour() const {
  const base::MutexLock lock(mutex_);
  return since(run_locked(), at_hour_);
}

Ledger Account::since_day_one() const {
  const base::MutexLock lock(mutex_);
  return all_locked(run_locked());
}

Ledger Account::all_locked(const Tally& run) const {
  return {kept_.since_unix_s, kept_.tally + since(run, kept_run_)};
}

std::string Account::energy_sources() const {
  const base::MutexLock lock(mutex_);
  return meter_.sources();
}

}  // namespace shoal::node
