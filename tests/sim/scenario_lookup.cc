// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/accounts.h"
#include "tests/sim/meter.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {

Report run_lookup(const LookupOptions& options) {
  Meter total;
  Population population(options.population);
  Swarm& swarm = population.swarm();
  const std::vector<PeerIndex> owners = population.draw_honest(options.records);
  // Twice, so that there is an old record to be taken in by.
  publish_all(population, owners, dht::seconds(4));
  const PublishAccount published = publish_all(population, owners, dht::seconds(4));
  population.kill(options.dead);
  const Samples holders = honest_holders(population, owners);

  const std::uint64_t events = swarm.events();
  Meter meter;
  const LookupAccount found =
      look_up(population, owners, options.lookups, dht::seconds(10), options.secure);
  const double taken_s = meter.total_s();

  Report report;
  report.add("scenario", std::string("lookup"));
  report_settings(report, options.population);
  report.add("dead", options.dead);
  report.add("secure", std::uint64_t{options.secure});
  found.report(report);
  report.add("honest_holders", holders);
  report.add("records", static_cast<std::uint64_t>(owners.size()));
  published.report(report);
  population.report(report);
  report_cost(report, swarm, swarm.events() - events, taken_s);
  report.add("total_s", total.total_s());
  return report;
}

}  // namespace shoal::sim
