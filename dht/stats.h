// SPDX-License-Identifier: Apache-2.0
// What one participant of the DHT knows and has done since its start: for status, metrics and
// tests. Plain values, copied.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dht/drops.h"
#include "dht/measurements.h"
#include "dht/reachability.h"

namespace shoal::dht {

// Messages by type, as their bodies before encryption.
struct Traffic {
  static constexpr std::array<std::string_view, 11> kTypes = {
      "other",  "ping",      "pong",        "find", "found", "store",
      "stored", "dial_back", "dialed_back", "dial", "dialed"};
  struct Count {
    std::uint64_t messages = 0, bytes = 0;
  };
  std::array<Count, kTypes.size()> by_type{};
  void add(std::size_t type, std::size_t bytes) {
    Count& count = by_type[type < kTypes.size() ? type : 0];
    ++count.messages;
    count.bytes += bytes;
  }
};

struct KademliaStats {
  std::size_t contacts = 0;           // in the routing table
  std::size_t verified_contacts = 0;  // answered lately
  std::vector<std::size_t> buckets;   // contacts by length of the prefix that they share with us
  std::size_t records = 0;            // stored here for others
  std::size_t sessions = 0, in_flight = 0, operations = 0;
  double estimated_peers = 0;
  std::uint64_t datagrams_in = 0, datagrams_out = 0, datagrams_dropped = 0;
  std::uint64_t bytes_in = 0, bytes_out = 0;  // of datagrams
  DropCounts drops;                           // datagrams_dropped by reason
  Traffic in, out;
  std::uint64_t requests_answered = 0, requests_failed = 0;  // a failed one found its peer gone
  std::uint64_t offences = 0;                                // that were punished by a ban
  std::size_t bans = 0;                                      // remembered peers and addresses
  Reachability::State reachability = Reachability::State::kUnknown;
  bool client = false;           // in nobody's table, by configuration or because unreachable
  std::uint64_t dial_backs = 0;  // asked for by us
  std::uint64_t dials = 0;       // made by us for others
  Measurements measurements;

  double verified_share() const {
    return contacts == 0 ? 0
                         : static_cast<double>(verified_contacts) / static_cast<double>(contacts);
  }
};

}  // namespace shoal::dht
