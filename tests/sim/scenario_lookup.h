// SPDX-License-Identifier: Apache-2.0
// Lookups after a share of the swarm vanished: records are published through the protocol on the
// whole swarm, some peers vanish at once (tables keep them; holders and owners may be among them),
// then random live peers look for random records. Success: the newest record was returned.
#pragma once

#include "tests/sim/population.h"

namespace shoal::sim {

struct LookupOptions {
  PopulationOptions population;
  double dead = 0;
  bool secure = false;
  std::size_t lookups = 2000;
  std::size_t records = 1000;  // at most one per peer
};

// Publishes a record of each owner, all within `spread`; ends when all are done. `replicas` and
// `took` gather what the events say, for publishes that ended.
struct PublishAccount {
  Samples took_ms, replicas, messages;
  std::size_t unfinished = 0;
};
PublishAccount publish_all(Population& population, const std::vector<PeerIndex>& owners,
                           dht::Duration spread);

// Finds from random live honest peers for random owners' records, all within `spread`.
class LookupAccount {
 public:
  void add(const Swarm& swarm, PeerIndex owner, const dht::Event& event);
  void add_unfinished() { ++unfinished_; }
  void report(Report& report) const;
  double success() const;
  const Samples& first_record_ms() const { return first_; }

 private:
  Samples first_, three_, took_, messages_, hops_, answers_;
  std::size_t found_ = 0, missing_ = 0, old_ = 0, unfinished_ = 0;
};
LookupAccount look_up(Population& population, const std::vector<PeerIndex>& owners,
                      std::size_t lookups, dht::Duration spread);

Report run_lookup(const LookupOptions& options);

}  // namespace shoal::sim
