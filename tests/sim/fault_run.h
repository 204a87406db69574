// SPDX-License-Identifier: Apache-2.0
// One seed of the fault campaign: a small swarm lives through the faults that the seed draws, with
// the checker behind it; then all is healed, and two republish periods later everybody must find
// every live record. One thread.
#pragma once

#include <memory>

#include "tests/sim/checker.h"
#include "tests/sim/colluder.h"
#include "tests/sim/hostile_peers.h"
#include "tests/sim/nemesis.h"

namespace shoal::sim {

struct Verdict {
  std::optional<Violation> violation;
  std::uint64_t events = 0;
  std::uint64_t trace = 0;
  std::size_t finds = 0, publishes = 0;
  double virtual_s = 0;
};

class FaultRun {
 public:
  explicit FaultRun(std::uint64_t seed) : FaultRun(seed, draw_knobs(seed)) {}
  FaultRun(std::uint64_t seed, const Knobs& knobs);

  Verdict run();
  // For bugs on purpose.
  Swarm& swarm() { return swarm_; }
  const std::vector<PeerIndex>& owners() const { return owners_; }

 private:
  struct Person {
    bool client = false, owner = false, full_store = false;
    bool joined = false;
    std::uint64_t published = 0;  // sequence of the newest publish that ended
    proto::Span span;
  };

  void populate();
  Config config_of(const Person& person) const;
  void add_person();
  void add_hostile();
  void add_sybils();
  void replay(const proto::Endpoint& source, const dht::Datagram& datagram);
  void join(PeerIndex peer);
  void publish(PeerIndex peer);
  void wander(PeerIndex peer);  // finds now and then
  void find(PeerIndex peer, const dht::Key& key, std::function<void(const dht::Event&)> then);
  void heal();
  void check_liveness();
  void check_knowledge();
  void check_findable(PeerIndex peer, const dht::Key& key);
  bool done() const { return checker_.violation().has_value(); }
  void run_for(dht::Duration duration);
  void after(PeerIndex peer, dht::Duration delay, std::function<void()> action);
  void must_end(PeerIndex peer, const char* what, std::shared_ptr<bool> ended);
  bool lives(PeerIndex peer) const;  // is honest, up and joined
  dht::Record record(PeerIndex owner) const;

  const Knobs knobs_;
  Swarm swarm_;
  std::optional<identity::SwarmKey> swarm_key_;
  FastRandom random_;
  Checker checker_;
  Nemesis nemesis_;
  std::vector<Person> people_;  // by index; hostile ones have no part in it
  std::vector<PeerIndex> owners_;
  std::unique_ptr<Colluders> colluders_;
  std::vector<PeerIndex> hostile_;
  std::vector<proto::Endpoint> ghosts_;
  bool healed_ = false;
  std::size_t finds_ = 0, publishes_ = 0;
};

}  // namespace shoal::sim
