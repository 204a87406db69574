// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <algorithm>

#include "tests/sim/accounts.h"
#include "tests/sim/hostile_peers.h"
#include "tests/sim/meter.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

using dht::seconds;

// Heap that a peer's state holds, by what becomes free when it is gone.
double heap_of(Swarm& swarm, PeerIndex peer) {
  const std::size_t before = mallinfo2().uordblks;
  swarm.crash(peer);
  return static_cast<double>(before) - static_cast<double>(mallinfo2().uordblks);
}

class Flood {
 public:
  Flood(Population& population, const FloodOptions& options, PeerIndex victim)
      : swarm_(population.swarm()) {
    // Half of it comes from addresses that are somebody else's, or nobody's.
    std::vector<proto::Endpoint> forged;
    for (int i = 0; i < 1000; ++i) forged.push_back(swarm_.addresses().next());
    for (std::size_t i = 0; i < options.flooders; ++i) {
      const HostileOptions as{swarm_.draw_identity(), std::nullopt, swarm_.random().next(),
                              [this, victim] {
                                std::vector<dht::Contact> only;
                                if (swarm_.is_up(victim)) only.push_back(swarm_.contact(victim));
                                return only;
                              },
                              swarm_.now()};
      const double rate = options.capacity * options.factor / static_cast<double>(options.flooders);
      flooders_.push_back(swarm_.add(std::make_unique<Flooder>(as, rate, forged),
                                     swarm_.addresses().next(), as.self));
    }
  }
  std::uint64_t sent() const {
    std::uint64_t sum = 0;
    for (const PeerIndex flooder : flooders_) sum += swarm_.sent(flooder);
    return sum;
  }
  void stop() {
    for (const PeerIndex flooder : flooders_) swarm_.crash(flooder);
  }

 private:
  Swarm& swarm_;
  std::vector<PeerIndex> flooders_;
};

void add_times(Report& report, const std::string& name, const LookupAccount& before,
               const LookupAccount& during) {
  report.add(name, {{"success_before", before.success()},
                    {"success_during", during.success()},
                    {"p50_ms_before", before.took_ms().percentile(0.5)},
                    {"p50_ms_during", during.took_ms().percentile(0.5)},
                    {"p99_ms_before", before.took_ms().percentile(0.99)},
                    {"p99_ms_during", during.took_ms().percentile(0.99)},
                    {"first_p99_ms_before", before.first_record_ms().percentile(0.99)},
                    {"first_p99_ms_during", during.first_record_ms().percentile(0.99)},
                    {"p99_ratio", during.took_ms().percentile(0.99) /
                                      std::max(1.0, before.took_ms().percentile(0.99))}});
}

}  // namespace

Report run_flood(const FloodOptions& options) {
  Meter total;
  Population population(options.population);
  Swarm& swarm = population.swarm();
  for (const PeerIndex peer : population.honest())
    swarm.limit(peer, options.capacity, options.queue);
  const std::vector<PeerIndex> owners = population.draw_honest(options.population.peers / 2);
  publish_all(population, owners, seconds(4));
  const PeerIndex victim = population.random_live();
  std::vector<PeerIndex> held = held_by(swarm, victim, owners);
  if (held.empty()) held = owners;

  const auto phase = dht::Duration(static_cast<std::int64_t>(options.flood_s * 0.45e9));
  const LookupAccount all_before = look_up(population, owners, options.lookups, phase);
  const LookupAccount held_before = look_up(population, held, options.lookups, phase);
  const std::uint64_t lost_before = swarm.server(victim)->lost();
  const std::uint64_t received_before = swarm.received(victim);

  const std::uint64_t events = swarm.events();
  Meter meter;
  const dht::TimePoint begin = swarm.now();
  Flood flood(population, options, victim);
  swarm.run_for(seconds(1));
  const LookupAccount all_during = look_up(population, owners, options.lookups, phase);
  const LookupAccount held_during = look_up(population, held, options.lookups, phase);
  const double flood_s = static_cast<double>((swarm.now() - begin).count()) / 1e9;
  const double taken_s = meter.total_s();
  const std::uint64_t flood_events = swarm.events() - events;
  flood.stop();
  const dht::KademliaStats stats = swarm.core(victim).stats();
  const std::uint64_t served = swarm.received(victim) - received_before;
  const std::uint64_t lost = swarm.server(victim)->lost() - lost_before;
  PeerIndex other = victim;
  while (other == victim) other = population.random_live();

  Report report;
  report.add("scenario", std::string("flood"));
  report_settings(report, options.population);
  report.add("capacity_per_s", options.capacity);
  report.add("queue", static_cast<std::uint64_t>(options.queue));
  report.add("flood_per_s", static_cast<double>(flood.sent()) / flood_s);
  report.add("victim_served", served);
  report.add("victim_lost", lost);
  add_times(report, "all_keys", all_before, all_during);
  add_times(report, "keys_the_victim_holds", held_before, held_during);
  report.add("victim_sessions", static_cast<std::uint64_t>(stats.sessions));
  report.add("victim_dropped", stats.datagrams_dropped);
  report.add("victim_heap_bytes", heap_of(swarm, victim));
  report.add("another_peers_heap_bytes", heap_of(swarm, other));
  population.report(report);
  report_cost(report, swarm, flood_events, taken_s);
  report.add("total_s", total.total_s());
  return report;
}

}  // namespace shoal::sim
