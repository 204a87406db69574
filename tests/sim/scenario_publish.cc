// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tests/sim/accounts.h"
#include "tests/sim/meter.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

// Of the live honest peers closest to the key, the share that holds the newest record.
double coverage(Population& population, const SortedContacts& live, PeerIndex owner,
                std::size_t count) {
  Swarm& swarm = population.swarm();
  const auto closest = live.closest(key_of_record(owner), count);
  const auto holds = [&](const dht::Contact& contact) {
    const auto* entry =
        swarm.core(swarm.find_peer(contact.endpoint)).store().get(swarm.identity(owner).peer_id());
    return entry != nullptr && entry->sequence == swarm.sequence(owner);
  };
  return static_cast<double>(std::count_if(closest.begin(), closest.end(), holds)) /
         static_cast<double>(closest.size());
}

}  // namespace

Report run_publish(const PublishOptions& options) {
  Meter total;
  Population population(options.population);
  Swarm& swarm = population.swarm();
  population.kill(options.dead);
  std::vector<PeerIndex> owners = population.draw_honest(options.publishes);
  std::erase_if(owners, [&](PeerIndex owner) { return !swarm.is_up(owner); });

  const std::uint64_t events = swarm.events();
  Meter meter;
  const PublishAccount published = publish_all(population, owners, dht::seconds(10));
  const double taken_s = meter.total_s();
  // Stores under way when the publish was done arrive, too.
  swarm.run_for(dht::seconds(3));
  std::vector<dht::Contact> contacts;
  for (const PeerIndex peer : population.honest()) {
    if (swarm.is_up(peer)) contacts.push_back(swarm.contact(peer));
  }
  const SortedContacts live(std::move(contacts));
  Samples closest8, closest20;
  for (const PeerIndex owner : owners) {
    closest8.add(coverage(population, live, owner, 8));
    closest20.add(coverage(population, live, owner, 20));
  }

  Report report;
  report.add("scenario", std::string("publish"));
  report_settings(report, options.population);
  report.add("dead", options.dead);
  published.report(report);
  report.add("share_of_closest_8", closest8.mean());
  report.add("share_of_closest_20", closest20.mean());
  population.report(report);
  report_cost(report, swarm, swarm.events() - events, taken_s);
  report.add("total_s", total.total_s());
  return report;
}

}  // namespace shoal::sim
