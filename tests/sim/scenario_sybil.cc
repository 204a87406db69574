// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "tests/sim/accounts.h"
#include "tests/sim/meter.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

// Keys that each attacker has made beside those that it gives to peers.
constexpr std::size_t kGhosts = 20'000;

// One attack: colluders beside one key, in a few networks of their own.
struct Attack {
  dht::Key key;
  std::unique_ptr<Colluders> colluders;
  std::vector<std::uint32_t> networks;
  std::size_t sybils = 0;
};

// Draws identities until every attack has its number of ids that share `bits` bits with its key.
std::vector<PeerIndex> add_sybils(Swarm& swarm, std::vector<Attack>& attacks,
                                  const SybilOptions& options, int bits) {
  std::vector<PeerIndex> result;
  const std::size_t wanted = options.sybils * attacks.size();
  while (result.size() < wanted) {
    const identity::Identity identity = swarm.draw_identity();
    for (Attack& attack : attacks) {
      if (attack.sybils == options.sybils ||
          dht::common_prefix(attack.key, dht::key_of(identity.peer_id())) < bits) {
        continue;
      }
      const std::size_t number = attack.sybils++;
      const std::uint32_t network = attack.networks[number % options.networks];
      const auto host = static_cast<std::uint8_t>(1 + number / options.networks % 254);
      const auto port = static_cast<std::uint16_t>(7000 + number / options.networks / 254);
      result.push_back(
          attack.colluders->add_at(swarm, AddressPlan::host(network, host, port), identity));
      break;
    }
  }
  return result;
}

}  // namespace

Report run_sybil(const SybilOptions& options) {
  Meter total;
  std::vector<Attack> attacks(options.keys);
  PopulationOptions settings = options.population;
  // Closer to the key than all honest peers but one or two.
  const int bits = static_cast<int>(std::bit_width(settings.peers)) - 1;
  settings.add_others = [&](Swarm& swarm) {
    for (std::size_t i = 0; i < attacks.size(); ++i) {
      attacks[i].colluders = std::make_unique<Colluders>(std::nullopt, settings.collusion);
      attacks[i].key = key_of_record(static_cast<PeerIndex>(i));
      for (std::size_t n = 0; n < options.networks; ++n)
        attacks[i].networks.push_back(swarm.addresses().reserve_network());
    }
    return add_sybils(swarm, attacks, options, bits);
  };
  Population population(settings);
  Swarm& swarm = population.swarm();
  std::vector<PeerIndex> attacked, others;
  for (PeerIndex owner = 0; owner < 2 * options.keys; ++owner)
    (owner < options.keys ? attacked : others).push_back(owner);
  for (Attack& attack : attacks) attack.colluders->invent(swarm, kGhosts, population.honest());
  // Twice, so that there is an old record to be taken in by.
  publish_all(population, attacked, dht::seconds(4));
  publish_all(population, attacked, dht::seconds(4));
  publish_all(population, others, dht::seconds(4));

  const std::uint64_t events = swarm.events();
  Meter meter;
  const LookupAccount harmed =
      look_up(population, attacked, options.lookups, dht::seconds(10), options.secure);
  const LookupAccount control =
      look_up(population, others, options.lookups, dht::seconds(10), options.secure);
  const double taken_s = meter.total_s();
  const Samples holders = honest_holders(population, attacked);

  Report report;
  report.add("scenario", std::string("sybil"));
  report_settings(report, options.population);
  report.add("keys", static_cast<std::uint64_t>(options.keys));
  report.add("sybils_per_key", static_cast<std::uint64_t>(options.sybils));
  report.add("networks_per_key", static_cast<std::uint64_t>(options.networks));
  report.add("prefix_bits", static_cast<std::uint64_t>(bits));
  report.add("secure", std::uint64_t{options.secure});
  report.add("harmed", 1 - harmed.success());
  harmed.report(report);
  report.add("success_of_other_keys", control.success());
  report.add("messages_mean_of_other_keys", control.messages().mean());
  report.add("honest_holders", holders);
  population.report(report);
  report_cost(report, swarm, swarm.events() - events, taken_s);
  report.add("total_s", total.total_s());
  return report;
}

}  // namespace shoal::sim
