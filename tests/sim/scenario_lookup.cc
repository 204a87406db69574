// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/scenario_lookup.h"

#include <algorithm>

#include "kernels/check.h"
#include "tests/sim/meter.h"

namespace shoal::sim {
namespace {

using dht::milliseconds;
using dht::seconds;

// Beyond this an operation counts as never ended; the core ends all of them sooner.
constexpr dht::Duration kLimit = seconds(60);

}  // namespace

PublishAccount publish_all(Population& population, const std::vector<PeerIndex>& owners,
                           dht::Duration spread) {
  Swarm& swarm = population.swarm();
  PublishAccount account;
  std::size_t open = owners.size();
  for (std::size_t i = 0; i < owners.size(); ++i) {
    const auto delay = spread * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(open);
    swarm.after(delay, [&swarm, &account, &open, owner = owners[i]] {
      const auto begin = swarm.now();
      swarm.publish(owner, record_of(owner), {key_of_record(owner)},
                    [&swarm, &account, &open, begin](const dht::Event& event) {
                      account.took_ms.add_ms(swarm.now() - begin);
                      account.replicas.add(event.replicas);
                      account.messages.add(static_cast<double>(event.requests));
                      --open;
                    });
    });
  }
  const auto limit = swarm.now() + spread + kLimit;
  while (open > 0 && swarm.step(limit)) {
  }
  account.unfinished = open;
  CHECK(open == 0) << open << " publishes did not end";
  return account;
}

void LookupAccount::add(const Swarm& swarm, PeerIndex owner, const dht::Event& event) {
  const auto record =
      std::find_if(event.records.begin(), event.records.end(), [&](const dht::Record& candidate) {
        return candidate.public_key == swarm.identity(owner).public_key();
      });
  const bool found = record != event.records.end();
  const bool newest = found && record->sequence == swarm.sequence(owner);
  (newest ? found_ : found ? old_ : missing_) += 1;
  if (event.first_record) first_.add_ms(*event.first_record);
  if (event.three_replicas) three_.add_ms(*event.three_replicas);
  if (found) hops_.add(event.hops);
  took_.add_ms(event.took);
  messages_.add(static_cast<double>(event.requests));
  answers_.add(static_cast<double>(event.answered));
}

double LookupAccount::success() const {
  const std::size_t all = found_ + missing_ + old_ + unfinished_;
  return all == 0 ? 0 : static_cast<double>(found_) / static_cast<double>(all);
}

void LookupAccount::report(Report& report) const {
  report.add("lookups", static_cast<std::uint64_t>(found_ + missing_ + old_ + unfinished_));
  report.add("success", success());
  report.add("not_found", static_cast<std::uint64_t>(missing_));
  report.add("old_record", static_cast<std::uint64_t>(old_));
  report.add("never_ended", static_cast<std::uint64_t>(unfinished_));
  report.add("first_record_ms", first_);
  report.add("three_replicas_ms", three_);
  report.add("lookup_ms", took_);
  report.add("messages_mean", messages_.mean());
  report.add("messages_p99", messages_.percentile(0.99));
  report.add("answers_mean", answers_.mean());
  report.add("hops_p50", hops_.percentile(0.5));
  report.add("hops_p99", hops_.percentile(0.99));
}

LookupAccount look_up(Population& population, const std::vector<PeerIndex>& owners,
                      std::size_t lookups, dht::Duration spread) {
  Swarm& swarm = population.swarm();
  LookupAccount account;
  std::size_t open = lookups;
  for (std::size_t i = 0; i < lookups; ++i) {
    const auto delay = spread * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(lookups);
    const PeerIndex asker = population.random_live();
    const PeerIndex owner = owners[swarm.random().below(owners.size())];
    swarm.after(delay, [&swarm, &account, &open, asker, owner] {
      const auto begin = swarm.now();
      const std::uint64_t sent = swarm.sent(asker);
      swarm.find(asker, key_of_record(owner),
                 [&swarm, &account, &open, asker, owner, begin, sent](const dht::Event& event) {
                   dht::Event seen = event;
                   // The core tells them; while it does not, what can be seen from outside.
                   if (seen.took == dht::Duration{}) seen.took = swarm.now() - begin;
                   if (seen.requests == 0) seen.requests = swarm.sent(asker) - sent;
                   account.add(swarm, owner, seen);
                   --open;
                 });
    });
  }
  const auto limit = swarm.now() + spread + kLimit;
  while (open > 0 && swarm.step(limit)) {
  }
  for (; open > 0; --open) account.add_unfinished();
  return account;
}

Report run_lookup(const LookupOptions& options) {
  Meter meter;
  Population population(options.population);
  Swarm& swarm = population.swarm();
  const std::vector<PeerIndex> owners = population.draw_honest(options.records);
  // Twice, so that there is an old record to be taken in by.
  publish_all(population, owners, seconds(4));
  const PublishAccount published = publish_all(population, owners, seconds(4));

  for (const PeerIndex peer : population.honest()) {
    if (swarm.random().chance(options.dead)) swarm.crash(peer);
  }
  const std::uint64_t events = swarm.events(), datagrams = swarm.datagrams();
  meter.lap_s();
  const LookupAccount account = look_up(population, owners, options.lookups, seconds(10));
  const double seconds_taken = meter.lap_s();

  Report report;
  report.add("scenario", std::string("lookup"));
  report.add("seed", options.population.seed);
  report.add("dead", options.dead);
  report.add("loss", options.population.loss);
  report.add("hostile", options.population.hostile);
  account.report(report);
  report.add("datagrams_per_lookup", static_cast<double>(swarm.datagrams() - datagrams) /
                                         static_cast<double>(options.lookups));
  report.add("records", static_cast<std::uint64_t>(owners.size()));
  report.add("publish_ms", published.took_ms);
  report.add("replicas_mean", published.replicas.mean());
  population.report(report);
  report_cost(report, swarm, swarm.events() - events, seconds_taken);
  report.add("total_s", meter.total_s());
  return report;
}

}  // namespace shoal::sim
