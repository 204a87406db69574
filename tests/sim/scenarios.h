// SPDX-License-Identifier: Apache-2.0
// What shoal-sim runs. Each scenario is a function of its options, the seed among them.
#pragma once

#include "tests/sim/population.h"

namespace shoal::sim {

// Lookups after a share of the swarm vanished: records are published through the protocol on the
// whole swarm, some peers vanish at once (tables keep them; holders and owners may be among them),
// then random live peers look for random records. Success: the newest record was returned.
struct LookupOptions {
  PopulationOptions population;
  double dead = 0;
  bool secure = false;  // over disjoint paths from the start
  std::size_t lookups = 2000;
  std::size_t records = 1000;  // at most one per peer
};
Report run_lookup(const LookupOptions& options);

// Publishing by random peers, after a share of the swarm vanished.
struct PublishOptions {
  PopulationOptions population;
  double dead = 0;
  std::size_t publishes = 1000;  // at most one per peer
};
Report run_publish(const PublishOptions& options);

// Swarms of few peers: who knows whom, who finds what, when peers and the bootstrap die and return.
struct SmallOptions {
  std::vector<std::size_t> sizes = {1, 2, 3, 5, 20};
  std::size_t runs = 20;  // per size, each with the next seed
  double loss = 0.02;
  std::uint64_t seed = 1;
};
Report run_small(const SmallOptions& options);

// Peers come and go, as many come as go; owners publish each minute while they live. Every live
// record is looked for again and again by random peers.
struct ChurnOptions {
  PopulationOptions population;
  double lifetime_min = 20;  // exponential, mean
  double hours = 1;
  std::size_t records = 100;  // owners live and die as others do; each is followed by another
  double probe_s = 20;        // between two lookups for one record
  bool progress = false;      // a line on stderr for each simulated hour
};
Report run_churn(const ChurnOptions& options);

// For each of some keys, peers that collude and whose ids are closer to it than nearly all honest
// ones', all from few networks. Harmed: a lookup that does not return the newest record.
struct SybilOptions {
  PopulationOptions population;
  std::size_t keys = 10;
  std::size_t sybils = 200;  // per key
  std::size_t networks = 4;  // of /24, per key
  std::size_t lookups = 5000;
  bool secure = false;  // each of them
};
Report run_sybil(const SybilOptions& options);

// One peer is sent ten times what it can take; the others look for records, of which it holds some.
struct FloodOptions {
  PopulationOptions population;
  double capacity = 2000;   // datagrams that each peer serves, per second
  std::size_t queue = 256;  // datagrams that its socket holds
  double factor = 10;       // of the flood, in capacities
  std::size_t flooders = 4;
  std::size_t lookups = 3000;  // before, and again meanwhile
  double flood_s = 20;
};
Report run_flood(const FloodOptions& options);

// Small swarms under faults, one per seed of [begin, end), with all invariants checked; the report
// names the seeds that failed.
struct FaultsOptions {
  std::uint64_t begin = 0, end = 1000;
  std::size_t jobs = 1;  // threads
  std::string crypto;    // as on the command line, to be told with a failing seed
  bool verbose = false;  // what each seed draws
};
struct FaultsResult {
  Report report;
  std::size_t failures = 0;
};
FaultsResult run_faults(const FaultsOptions& options);

}  // namespace shoal::sim
