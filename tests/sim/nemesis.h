// SPDX-License-Identifier: Apache-2.0
// The faults of one run while they last: crashes with and without disk, pauses, clogs, cuts,
// moves, jumping clocks. One thread; lives as long as its swarm.
#pragma once

#include <functional>

#include "tests/sim/knobs.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {

class Nemesis {
 public:
  enum class Disk { kKept, kTableLost, kIdentityLost };
  struct Hooks {
    std::function<void(PeerIndex)> died;
    std::function<void(PeerIndex)> slept;  // so long that it remembers nothing of what was
    // Up again with nothing but what its disk had; `known` are the contacts of a kept table.
    std::function<void(PeerIndex, const std::vector<dht::Contact>& known)> returned;
  };
  // Longest that a datagram or a peer is held up, by which old news may come late.
  static constexpr dht::Duration kLongest = dht::seconds(40);
  // A machine that slept longer has outlived everything that its store remembers.
  static constexpr dht::Duration kLongSleep = dht::minutes(5);
  // Peers below this index keep their identity, return when they crash, and do not move: the
  // others know their addresses.
  static constexpr PeerIndex kBootstraps = 2;

  Nemesis(Swarm& swarm, const Knobs& knobs, Hooks hooks);

  void start(dht::TimePoint until);  // faults happen from now until then
  void heal();                       // all of them end, who is to return returns

 private:
  struct Dead {
    PeerIndex peer;
    Disk disk;
    std::vector<dht::Contact> known;
  };

  void next();
  void strike();
  void crash(PeerIndex peer);
  void bring_back(PeerIndex peer);
  void cut();
  void sleep(PeerIndex peer);
  dht::Duration draw(double least_s, double most_s);
  dht::Duration rest() const { return until_ - swarm_.now(); }
  std::optional<PeerIndex> victim();

  Swarm& swarm_;
  const Knobs knobs_;
  const Hooks hooks_;
  FastRandom random_;
  dht::TimePoint until_;
  std::vector<Dead> dead_;
};

}  // namespace shoal::sim
