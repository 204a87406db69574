// SPDX-License-Identifier: Apache-2.0
// What one fault seed draws: how large the swarm is, how bad the network, which faults, who is
// hostile. Plain value; a pure function of the seed.
#pragma once

#include <cstdint>
#include <string>

#include "tests/sim/network.h"

namespace shoal::sim {

struct Knobs {
  std::size_t peers = 1;
  AddressKind addresses = AddressKind::kPrivate;
  bool keyed = false;  // a private swarm
  LinkModel links;
  double owners = 0.5;       // share of peers that publish
  double clients = 0;        // share in client mode
  double full_stores = 0;    // share whose store holds three records
  double skew = 0;           // clocks run off by up to this share
  double faults_per_s = 0;   // of all kinds
  dht::Duration fault_time;  // how long faults go on
  std::uint32_t ttl_ms = 180'000;
  double replay = 0;  // share of datagrams that come again within a minute
  std::size_t colluders = 0, liars = 0, poisoners = 0, flooders = 0;
  std::size_t sybils = 0;  // colluders beside the key of the swarm's model, in one network

  std::size_t hostile() const { return colluders + liars + poisoners + flooders + sybils; }
  std::string describe() const;
};

Knobs draw_knobs(std::uint64_t seed);

}  // namespace shoal::sim
