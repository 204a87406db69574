// SPDX-License-Identifier: Apache-2.0
// The large swarm with which scenarios begin: honest and hostile peers at realistic addresses with
// ideal tables, records for peers to publish, and accounts of what building it cost.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "dht/record.h"
#include "tests/sim/colluder.h"
#include "tests/sim/report.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {

struct PopulationOptions {
  std::size_t peers = 10'000;
  double hostile = 0;  // share that colludes
  Collusion collusion = Collusion::kMixed;
  double loss = 0;
  std::uint64_t seed = 1;
  AddressKind addresses = AddressKind::kPublic;
  int threads = 1;  // as in SwarmOptions
  Config config;    // of honest peers; none: what programs run
  // Adds peers that the tables may hold, too; after all others, before tables are filled.
  std::function<std::vector<PeerIndex>(Swarm&)> add_others;
};

class Population {
 public:
  explicit Population(const PopulationOptions& options);

  Swarm& swarm() { return swarm_; }
  const std::vector<PeerIndex>& honest() const { return honest_; }
  Colluders& colluders() { return colluders_; }
  // Different honest peers, at random.
  std::vector<PeerIndex> draw_honest(std::size_t count);
  PeerIndex random_live();  // honest
  void kill(double share);  // of the honest ones, at once
  void report(Report& report) const;

 private:
  Swarm swarm_;
  Colluders colluders_;
  std::vector<PeerIndex> honest_;
  double build_s_ = 0;
  double bytes_per_peer_ = 0;
};

// The record that `owner` publishes of a model of its own, and the model's key.
dht::Record record_of(PeerIndex owner);
dht::Key key_of_record(PeerIndex owner);

void report_settings(Report& report, const PopulationOptions& options);
// Ends a report: what the run cost, and the hash that the same seed gives again.
void report_cost(Report& report, const Swarm& swarm, std::uint64_t events, double wall_s);

}  // namespace shoal::sim
