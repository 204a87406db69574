// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

#include "proto/limits.h"
#include "tests/sim/accounts.h"
#include "tests/sim/meter.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

using dht::milliseconds;
using dht::seconds;
using dht::TimePoint;

constexpr std::size_t kBootstraps = 3;  // addresses that a newcomer is given
constexpr dht::Duration kRepublishPeriod = milliseconds(proto::kRecordRefreshMs);

dht::Duration of_seconds(double value) {
  return dht::Duration(static_cast<std::int64_t>(value * 1e9));
}

// A run of hours that is interrupted tells what it has seen so far.
std::sig_atomic_t volatile interrupted = 0;

class HeedSignals {
 public:
  HeedSignals() {
    for (const int number : {SIGINT, SIGTERM}) std::signal(number, [](int) { interrupted = 1; });
  }
  ~HeedSignals() {
    for (const int number : {SIGINT, SIGTERM}) std::signal(number, SIG_DFL);
  }
  HeedSignals(const HeedSignals&) = delete;
  HeedSignals& operator=(const HeedSignals&) = delete;
};

class Churn {
 public:
  explicit Churn(const ChurnOptions& options)
      : options_(options),
        population_(options.population),
        swarm_(population_.swarm()),
        joined_(swarm_.size(), true),
        records_(std::min(options.records, swarm_.size())) {}

  Report run() {
    for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) live(peer);
    for (PeerIndex owner = 0; owner < records_.size(); ++owner) {
      // Not all at once.
      after(owner, of_seconds(60 * swarm_.random().unit()), [this, owner] { publish(owner); });
    }
    const TimePoint begin = swarm_.now();
    Meter meter;
    const TimePoint end = begin + of_seconds(3600 * options_.hours);
    const HeedSignals heed;
    for (int minute = 1; swarm_.now() < end && !interrupted; ++minute) {
      swarm_.run_until(std::min(end, begin + minute * seconds(60)));
      if (options_.progress && minute % 60 == 0) tell(meter.total_s());
    }
    for (PeerIndex owner = 0; owner < records_.size(); ++owner) end_gap(owner);
    return report(meter.total_s(), swarm_.now() - begin);
  }

 private:
  struct OwnRecord {
    std::uint64_t published = 0;  // sequence that is known to be stored; 0: none yet
    bool probing = false;
    std::optional<TimePoint> failing_since;
  };

  // Unless the peer has died by then.
  void after(PeerIndex peer, dht::Duration delay, std::function<void()> action) {
    swarm_.after(delay, [this, peer, life = swarm_.life(peer), action = std::move(action)] {
      if (swarm_.life(peer) == life) action();
    });
  }

  void live(PeerIndex peer) {
    after(peer, of_seconds(swarm_.random().exponential(60 * options_.lifetime_min)),
          [this, peer] { replace(peer); });
  }

  // Dies, and another peer comes at another place.
  void replace(PeerIndex peer) {
    ++deaths_;
    if (peer < records_.size()) {
      end_gap(peer);
      records_[peer] = {};
    }
    swarm_.crash(peer);
    joined_[peer] = false;
    swarm_.move(peer);
    swarm_.restart(peer, swarm_.draw_identity());
    live(peer);
    join(peer);
  }

  void join(PeerIndex peer) {
    std::vector<PeerIndex> at;
    while (at.size() < kBootstraps) at.push_back(random_joined());
    swarm_.bootstrap(peer, at, seconds(10),
                     [this, peer, begin = swarm_.now()](const dht::Event& event) {
                       if (!event.ok) {
                         ++failed_joins_;
                         return join(peer);
                       }
                       join_ms_.add_ms(swarm_.now() - begin);
                       joined_[peer] = true;
                       if (peer < records_.size()) publish(peer);
                     });
  }

  PeerIndex random_joined() {
    for (;;) {
      const auto peer = static_cast<PeerIndex>(swarm_.random().below(swarm_.size()));
      if (joined_[peer]) return peer;
    }
  }

  void publish(PeerIndex owner) {
    after(owner, of_seconds(60 * (0.8 + 0.4 * swarm_.random().unit())),
          [this, owner] { publish(owner); });
    swarm_.publish(owner, record_of(owner), {key_of_record(owner)},
                   [this, owner, begin = swarm_.now(),
                    sequence = swarm_.sequence(owner) + 1](const dht::Event& event) {
                     publishes_.add(swarm_, begin, event);
                     OwnRecord& record = records_[owner];
                     record.published = std::max(record.published, sequence);
                     if (std::exchange(record.probing, true)) return;
                     after(owner, of_seconds(options_.probe_s * (0.1 + swarm_.random().unit())),
                           [this, owner] { probe(owner); });
                   });
  }

  void probe(PeerIndex owner) {
    after(owner, of_seconds(options_.probe_s), [this, owner] { probe(owner); });
    const PeerIndex asker = random_joined();
    swarm_.find(asker, key_of_record(owner),
                [this, owner, life = swarm_.life(owner),
                 question = LookupAccount::ask(swarm_, asker, owner, records_[owner].published)](
                    const dht::Event& event) {
                  if (swarm_.life(owner) != life) return;  // died meanwhile: nobody's loss
                  const bool found =
                      lookups_.add(swarm_, question, event) == LookupAccount::Outcome::kNewest;
                  auto& since = records_[owner].failing_since;
                  if (found) {
                    end_gap(owner);
                  } else if (!since) {
                    since = question.begin;
                  }
                });
  }

  void end_gap(PeerIndex owner) {
    auto& since = records_[owner].failing_since;
    if (!since) return;
    const dht::Duration gap = swarm_.now() - *since;
    gaps_s_.add(static_cast<double>(gap.count()) / 1e9);
    too_long_ += gap > kRepublishPeriod;
    since.reset();
  }

  void tell(double wall_s) const {
    fmt::print(
        stderr,
        "{:.1f} h: {} lookups, success {:.6f}, {} times unfindable, {} longer than a period, "
        "longest {:.1f} s, {} deaths, {} failed joins, {} events, {:.0f} events/s, {:.0f} s\n",
        static_cast<double>(swarm_.now().time_since_epoch().count()) / 3.6e12 - 1.0 / 3.6,
        lookups_.lookups(), lookups_.success(), gaps_s_.size(), too_long_, gaps_s_.percentile(1),
        deaths_, failed_joins_, swarm_.events(), static_cast<double>(swarm_.events()) / wall_s,
        wall_s);
  }

  // How well the tables know who lives, at the end.
  void report_tables(Report& report) {
    Samples sizes;
    std::size_t contacts = 0, stale = 0;
    for (PeerIndex peer = 0; peer < swarm_.size(); ++peer) {
      if (!joined_[peer]) continue;
      sizes.add(static_cast<double>(swarm_.core(peer).table().size()));
      swarm_.core(peer).table().for_each([&](const dht::RoutingTable::Entry& entry) {
        const PeerIndex other = swarm_.find_peer(entry.contact.endpoint);
        ++contacts;
        stale += other == kNobody || swarm_.identity(other).peer_id() != entry.contact.peer;
      });
    }
    report.add("table_size_mean", sizes.mean());
    report.add("stale_contacts_share", static_cast<double>(stale) /
                                           static_cast<double>(std::max<std::size_t>(1, contacts)));
  }

  Report report(double wall_s, dht::Duration simulated) {
    const double virtual_s = static_cast<double>(simulated.count()) / 1e9;
    Report report;
    report.add("scenario", std::string("churn"));
    report_settings(report, options_.population);
    report.add("lifetime_min", options_.lifetime_min);
    report.add("hours", virtual_s / 3600);
    report.add("records", static_cast<std::uint64_t>(records_.size()));
    report.add("deaths", static_cast<std::uint64_t>(deaths_));
    report.add("unfindable_s", gaps_s_);
    report.add("unfindable_times", static_cast<std::uint64_t>(gaps_s_.size()));
    report.add("unfindable_longer_than_a_period", static_cast<std::uint64_t>(too_long_));
    lookups_.report(report);
    publishes_.report(report);
    report.add("join_ms", join_ms_);
    report.add("failed_joins", static_cast<std::uint64_t>(failed_joins_));
    report_tables(report);
    population_.report(report);
    report.add("events_per_peer_second", static_cast<double>(swarm_.events()) / virtual_s /
                                             static_cast<double>(swarm_.size()));
    report_cost(report, swarm_, swarm_.events(), wall_s);
    report.add("bytes_at_the_end", resident_bytes());
    report.add("wall_s", wall_s);
    return report;
  }

  const ChurnOptions options_;
  Population population_;
  Swarm& swarm_;
  std::vector<bool> joined_;
  std::vector<OwnRecord> records_;  // of the first peers
  LookupAccount lookups_;
  PublishAccount publishes_;
  Samples join_ms_, gaps_s_;
  std::size_t deaths_ = 0, failed_joins_ = 0, too_long_ = 0;
};

}  // namespace

Report run_churn(const ChurnOptions& options) { return Churn(options).run(); }

}  // namespace shoal::sim
