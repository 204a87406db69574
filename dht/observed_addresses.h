// SPDX-License-Identifier: Apache-2.0
// At which addresses others see us: each peer has one vote per address family and reach, and only
// what most of them say counts. Value class: bounded, no I/O, time by argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dht/time.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::dht {

// What most peers who see us with this family, and from such a distance, say.
struct ObservedAddress {
  proto::Endpoint endpoint;
  std::size_t peers = 0;     // that say so
  std::size_t networks = 0;  // that these peers live in, each /16 (IPv6: /32) once
};

// Whether a translator on the way gives our socket one port towards all others, or a new one for
// each.
struct ObservedPorts {
  std::size_t peers = 0;      // who said where they see us, by that family
  std::size_t endpoints = 0;  // different ones that they said
};

class ObservedAddresses {
 public:
  // `voter`, at `voter_at`, sees us at `us`.
  void add(const proto::PeerId& voter, const proto::Endpoint& voter_at, const proto::Endpoint& us,
           TimePoint now);
  // At most one of each family and reach (beyond private ranges, or within), most peers first.
  std::vector<ObservedAddress> seen(TimePoint now) const;
  ObservedPorts ports(bool v4, TimePoint now) const;
  // Our addresses have changed: what was seen before says nothing.
  void clear() { votes_.clear(); }

 private:
  struct Vote {
    std::uint64_t voter = 0;    // the beginning of its id
    std::uint64_t network = 0;  // where it lives
    proto::Endpoint us;
    TimePoint at;
  };
  static constexpr std::size_t kMaxVotes = 24;
  // A table checks each contact within some minutes.
  static constexpr Duration kAge = minutes(15);
  std::vector<Vote> votes_;  // oldest first
};

}  // namespace shoal::dht
