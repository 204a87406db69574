// SPDX-License-Identifier: Apache-2.0
// What becomes of a datagram between two peers: delay, loss, copies, damage, cuts and clogs. A
// pair's round trip is a pure function of seed and pair, so that it does not depend on who spoke
// first. One thread.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "dht/time.h"
#include "tests/sim/addresses.h"
#include "tests/sim/fast_random.h"

namespace shoal::sim {

// The unit of `median_rtt_ms` and `slow_mean_ms` is the millisecond; the others are shares or
// probabilities per datagram.
struct LinkModel {
  double median_rtt_ms = 80;  // per pair, log-normal
  double sigma = 0.6;
  double jitter = 0.1;  // of the one-way delay: reorders neighbours
  double loss = 0;
  double duplication = 0;
  double corruption = 0;
  double slow = 0;  // takes another exponential delay: reorders over seconds
  double slow_mean_ms = 500;
};

class Network {
 public:
  Network(const LinkModel& model, std::uint64_t seed);

  struct Copy {
    dht::Duration delay;
    bool corrupt = false;
  };
  struct Fate {
    std::array<Copy, 2> copies;
    std::size_t count = 0;
  };
  Fate send(PeerIndex from, PeerIndex to, dht::TimePoint now);
  dht::Duration round_trip(PeerIndex a, PeerIndex b) const;  // without jitter
  dht::Duration shortest_way() const;                        // nothing is ever under way for less

  // Peers of different groups hear each other unless the way from one group to the other is cut.
  // All start in group 0.
  static constexpr std::size_t kGroups = 8;
  void set_group(PeerIndex peer, std::size_t group);
  void cut(std::size_t from_group, std::size_t to_group, bool cut);
  // As behind a NAT: only from whom the peer wrote to within kNatMemory does anything come in.
  static constexpr dht::Duration kNatMemory = dht::seconds(120);
  void set_filtered(PeerIndex peer, bool filtered);
  // Datagrams from or to the peer wait until then.
  void clog(PeerIndex peer, dht::TimePoint until);
  void heal();  // no groups, no clogs; the link model and filters stay

  LinkModel& model() { return model_; }

 private:
  bool passes_filters(PeerIndex from, PeerIndex to, dht::TimePoint now);
  std::size_t group(PeerIndex peer) const { return peer < groups_.size() ? groups_[peer] : 0; }

  LinkModel model_;
  const std::uint64_t seed_;
  FastRandom random_;
  std::vector<float> round_trips_ns_;  // quantiles of a pair's round trip
  std::vector<std::uint8_t> groups_;
  std::array<std::array<bool, kGroups>, kGroups> cuts_{};
  std::vector<std::pair<PeerIndex, dht::TimePoint>> clogs_;  // few at any time
  // Of each filtered peer, whom it wrote to when.
  std::map<PeerIndex, std::map<PeerIndex, dht::TimePoint>> filtered_;
};

}  // namespace shoal::sim
