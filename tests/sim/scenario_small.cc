// SPDX-License-Identifier: Apache-2.0
#include <set>

#include "tests/sim/meter.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

using dht::seconds;

// What one size came to, over all runs. Counts are of peers, or of (peer, record).
struct Tally {
  Samples join_ms;
  std::size_t not_joined = 0, unknown = 0, not_found = 0, survivor_misses = 0, bootstrap_misses = 0;
};

class SmallRun {
 public:
  SmallRun(std::size_t size, double loss, std::uint64_t seed, Tally& tally)
      : size_(static_cast<PeerIndex>(size)),
        tally_(tally),
        swarm_({seed, {.loss = loss}, AddressKind::kPrivate}) {}

  void run() {
    join();
    for (PeerIndex peer = 0; peer < size_; ++peer)
      swarm_.wait(peer, swarm_.publish(peer, record(), {}));
    swarm_.run_for(seconds(30));
    tally_.unknown += unknown_peers();
    for (PeerIndex peer = 0; peer < size_; ++peer) tally_.not_found += missing_at(peer, size_);
    bootstrap_returns();
    single_survivor();
  }

 private:
  // One model, so that one key finds all.
  static dht::Record record() { return record_of(0); }

  void join() {
    for (PeerIndex peer = 0; peer < size_; ++peer) {
      swarm_.add();
      if (peer == 0) continue;
      const auto begin = swarm_.now();
      const auto done = swarm_.wait(peer, swarm_.bootstrap(peer, {0}));
      if (done && done->ok) {
        tally_.join_ms.add_ms(swarm_.now() - begin);
      } else {
        ++tally_.not_joined;
      }
    }
  }

  std::size_t unknown_peers() {
    std::size_t count = 0;
    for (PeerIndex a = 0; a < size_; ++a) {
      for (PeerIndex b = 0; b < size_; ++b) {
        if (a != b && swarm_.core(a).table().find(swarm_.identity(b).peer_id()) == nullptr) ++count;
      }
    }
    return count;
  }

  std::size_t missing_at(PeerIndex peer, std::size_t expected) {
    const auto event = swarm_.wait(peer, swarm_.find(peer, key_of_record(0)));
    return expected - (event ? std::min(expected, event->records.size()) : 0);
  }

  void bootstrap_returns() {
    if (size_ < 2) return;
    swarm_.crash(0);
    swarm_.run_for(seconds(50));  // long enough for the others to give it up
    for (PeerIndex peer = 1; peer < size_; ++peer) swarm_.publish(peer, record(), {}, ignore);
    swarm_.run_for(seconds(10));
    swarm_.restart(0);  // it knows nobody; the others come back to it
    swarm_.run_for(seconds(40));
    tally_.bootstrap_misses += unknown_peers() + missing_at(0, size_ - 1);
    swarm_.publish(0, record(), {}, ignore);
    swarm_.run_for(seconds(5));
  }

  void single_survivor() {
    const auto survivor = static_cast<PeerIndex>(swarm_.random().below(size_));
    for (PeerIndex peer = 0; peer < size_; ++peer) {
      if (peer != survivor) swarm_.crash(peer);
    }
    tally_.survivor_misses += missing_at(survivor, size_);
  }

  static void ignore(const dht::Event&) {}

  const PeerIndex size_;
  Tally& tally_;
  Swarm swarm_;
};

}  // namespace

Report run_small(const SmallOptions& options) {
  Report report;
  report.add("scenario", std::string("small"));
  report.add("seed", options.seed);
  report.add("loss", options.loss);
  report.add("runs", static_cast<std::uint64_t>(options.runs));
  for (const std::size_t size : options.sizes) {
    Tally tally;
    for (std::size_t run = 0; run < options.runs; ++run)
      SmallRun(size, options.loss, options.seed + run, tally).run();
    const auto count = [](std::size_t value) { return static_cast<std::uint64_t>(value); };
    report.add("peers_" + std::to_string(size),
               {{"join_p50_ms", tally.join_ms.percentile(0.5)},
                {"join_p99_ms", tally.join_ms.percentile(0.99)},
                {"not_joined", count(tally.not_joined)},
                {"unknown_peers", count(tally.unknown)},
                {"not_found", count(tally.not_found)},
                {"bootstrap_misses", count(tally.bootstrap_misses)},
                {"survivor_misses", count(tally.survivor_misses)}});
  }
  return report;
}

}  // namespace shoal::sim
