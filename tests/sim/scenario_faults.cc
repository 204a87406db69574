// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "tests/sim/fault_run.h"
#include "tests/sim/meter.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

// Failing seeds that the report tells in words.
constexpr std::size_t kTold = 50;

double since_start_s(dht::TimePoint when) {
  return static_cast<double>(when.time_since_epoch().count()) / 1e9 - 1000;
}

std::string tell(const FaultsOptions& options, std::uint64_t seed, const Violation& violation) {
  return fmt::format("at {:.3f} s: {}; again: shoal-sim faults --seeds {}:{} --crypto {}",
                     since_start_s(violation.when), violation.what, seed, seed + 1, options.crypto);
}

// What the seeds came to. Any thread.
class Tally {
 public:
  void add(std::uint64_t seed, const Verdict& verdict, const std::string& failure) {
    const std::lock_guard lock(mutex_);
    events_ += verdict.events;
    virtual_s_ += verdict.virtual_s;
    finds_ += verdict.finds;
    publishes_ += verdict.publishes;
    // Independent of the order in which threads come.
    trace_ ^= mix(verdict.trace ^ mix(seed));
    if (!failure.empty()) failures_[seed] = failure;
  }

  FaultsResult result(const FaultsOptions& options, double wall_s) const {
    const auto seeds = static_cast<double>(options.end - options.begin);
    FaultsResult result;
    result.failures = failures_.size();
    Report& report = result.report;
    report.add("scenario", std::string("faults"));
    report.add("seeds", fmt::format("{}:{}", options.begin, options.end));
    report.add("failures", static_cast<std::uint64_t>(failures_.size()));
    report.add("finds", finds_);
    report.add("publishes", publishes_);
    report.add("virtual_s", virtual_s_);
    report.add("events", events_);
    report.add("events_per_s", static_cast<double>(events_) / wall_s);
    report.add("ms_per_seed", wall_s * 1e3 / seeds);
    report.add("jobs", static_cast<std::uint64_t>(options.jobs));
    report.add("trace", fmt::format("{:016x}", trace_));
    report.add("total_s", wall_s);
    std::size_t told = 0;
    for (const auto& [seed, failure] : failures_) {
      if (++told > kTold) break;
      report.add(fmt::format("seed_{}", seed), failure);
    }
    return result;
  }

 private:
  std::mutex mutex_;
  std::uint64_t events_ = 0, finds_ = 0, publishes_ = 0, trace_ = 0;
  double virtual_s_ = 0;
  std::map<std::uint64_t, std::string> failures_;
};

}  // namespace

FaultsResult run_faults(const FaultsOptions& options) {
  Meter meter;
  Tally tally;
  std::atomic<std::uint64_t> next{options.begin};
  const auto work = [&] {
    for (std::uint64_t seed = next++; seed < options.end; seed = next++) {
      if (options.verbose) fmt::print(stderr, "seed {}: {}\n", seed, draw_knobs(seed).describe());
      const Verdict verdict = FaultRun(seed).run();
      tally.add(seed, verdict,
                verdict.violation ? tell(options, seed, *verdict.violation) : std::string());
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < options.jobs; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return tally.result(options, meter.total_s());
}

}  // namespace shoal::sim
