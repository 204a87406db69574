// SPDX-License-Identifier: Apache-2.0
// What connections that came through relays may take of a front: each relay has a share of them,
// because where its callers come from is only its word, and a relay could invent an address for
// each. Decides only; time comes in by argument. One thread at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

#include "net/gatekeeper.h"
#include "net/token_bucket.h"
#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::net {

struct RelayedLimits {
  // Of one relay: as many as it may open for one node, and half as many again that have not been
  // noticed to be gone.
  std::uint32_t connections = proto::kMaxTunnelsPerTarget + proto::kMaxTunnelsPerTarget / 2;
  // Of those under way in all, the two relays of a node leave half to whoever comes directly.
  std::uint32_t handshakes = proto::kMaxHandshakes / 4;
  Rate arrivals{proto::kArrivalsBurst, proto::kArrivalsPerSecond};
};

class RelayedShares {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit RelayedShares(const RelayedLimits& limits = {}) : limits_(limits) {}

  // A connection came through the relay; kNone: it counts, until depart().
  Refusal arrive(const proto::PeerId& relay, Time now);
  // Its handshake is over.
  void identified(const proto::PeerId& relay);
  void depart(const proto::PeerId& relay, bool was_identified);
  std::size_t remembered() const { return relays_.size(); }

 private:
  struct Share {
    std::uint32_t connections = 0, handshakes = 0;
    TokenBucket arrivals;
  };

  const RelayedLimits limits_;
  std::map<proto::PeerId, Share> relays_;
};

// What the gatekeeper counts such a connection under: the address as that relay tells it. An
// invented one costs nobody but whoever comes through the same relay.
Network network_through(const proto::PeerId& relay, const proto::Endpoint& told);

}  // namespace shoal::net
