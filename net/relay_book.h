// SPDX-License-Identifier: Apache-2.0
// Who is parked at a relay, who calls whom, and who may: counts of parked connections, waiting
// calls and tunnels, per peer and in all. Decides only: connections are numbers of its owner's, and
// time comes in by argument. One thread. docs/protocol-relay.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "net/gatekeeper.h"
#include "net/token_bucket.h"
#include "proto/limits.h"
#include "proto/tunnel.h"
#include "proto/types.h"

namespace shoal::net {

struct RelayLimits {
  std::uint32_t parked = proto::kMaxParked;
  std::uint32_t parked_per_peer = proto::kMaxParkedPerPeer;
  std::uint32_t tunnels = proto::kMaxTunnels;
  std::uint32_t tunnels_per_caller = proto::kMaxTunnelsPerCaller;
  std::uint32_t tunnels_per_target = proto::kMaxTunnelsPerTarget;
  // Of one caller to one target: gRPC needs one, and a new one while the last is not noticed to be
  // gone; others shall not find a node's share of tunnels, or of calls that wait, used up by one.
  std::uint32_t tunnels_per_pair = proto::kMaxTunnelsPerTarget / 8;
  std::uint32_t waiting_per_pair = 2;
  // Of one address, however many peers come from there: a household or a class room has them, and
  // whoever invents peers without number does not fill the relay.
  std::uint32_t parked_per_address = proto::kMaxParked / 8 * 3;
  std::uint32_t tunnels_per_address = proto::kMaxTunnels / 2;
  Rate calls{proto::kTunnelCallsBurst, proto::kTunnelCallsPerSecond};
  std::uint32_t waiting = proto::kMaxWaitingCalls;
  std::uint32_t waiting_per_peer = proto::kMaxWaitingCallsPerPeer;
  std::chrono::milliseconds wait{proto::kTunnelWaitMs};
  std::chrono::milliseconds wait_after{proto::kTunnelWaitAfterMs};
};

class RelayBook {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Id = std::uint64_t;  // of a connection

  explicit RelayBook(const RelayLimits& limits = {}) : limits_(limits) {}

  struct Tunnel {
    Id parked = 0, caller = 0;
  };
  struct Refusal {
    proto::TunnelRefusal why = proto::TunnelRefusal::kNone;
    std::uint32_t retry_ms = 0;
  };
  // What becomes of a connection: refused; else connected, or it waits.
  struct Answer {
    Refusal refusal;
    std::optional<Tunnel> tunnel;
    bool ok() const { return refusal.why == proto::TunnelRefusal::kNone; }
  };
  // `from`: the address that the connection comes from. `last`: callers get it after the peer's
  // others.
  Answer park(const proto::PeerId& peer, Id id, Time now, const Network& from = {},
              bool last = false);
  Answer call(const proto::PeerId& caller, const proto::PeerId& target, Id id, Time now,
              const Network& from = {});
  // A connection is gone, or one of a tunnel's, which ends with it; other ids are ignored.
  void gone(Id id, Time now);
  // The tunnel's parked end was dead: its caller has another one, waits, or is refused.
  Answer call_again(const Tunnel& tunnel, Time now);

  struct Late {
    Id id = 0;
    Refusal refusal;
  };
  // Calls that have waited long enough.
  std::vector<Late> overdue(Time now);
  std::optional<Time> next() const;  // when overdue() may name one

  std::uint32_t parked() const { return parked_; }
  std::uint32_t parked_peers() const;
  std::uint32_t tunnels() const { return tunnels_; }
  std::uint32_t waiting() const { return waiting_; }

 private:
  enum class Place : std::uint8_t { kParked, kWaits, kTunnel };
  struct Connection {
    Place place = Place::kParked;
    proto::PeerId peer;    // who came
    proto::PeerId target;  // of a caller
    Id other = 0;          // of a tunnel
    Time since{};
    Network from;
  };
  struct Address {
    std::uint32_t parked = 0, calls = 0;  // calls: tunnels, and those that wait for one
  };
  struct Peer {
    explicit Peer(Rate calls, Time now) : bucket(calls, now) {}
    std::deque<Id> parked;       // the longest first
    std::deque<Id> parked_last;  // ... of those that are given away after the others
    std::deque<Id> calls;        // that wait for it
    std::uint32_t waits = 0, tunnels_as_caller = 0, tunnels_as_target = 0;
    std::optional<Time> parked_lately;  // when it last had a connection parked
    TokenBucket bucket;
    std::size_t parks() const { return parked.size() + parked_last.size(); }
    bool idle() const {
      return parks() == 0 && calls.empty() && waits + tunnels_as_caller + tunnels_as_target == 0;
    }
  };

  Peer& peer(const proto::PeerId& id, Time now);
  Answer place(Id id, Time now);  // of a caller that is counted as waiting nowhere
  std::uint32_t tunnels_of(const proto::PeerId& caller, const proto::PeerId& target) const;
  Tunnel connect(Id parked, Id caller);
  void uncount(const Network& from, std::uint32_t Address::*count);
  void forget(Time now);

  const RelayLimits limits_;
  std::map<proto::PeerId, Peer> peers_;
  std::map<Id, Connection> connections_;
  absl::flat_hash_map<Network, Address> addresses_;  // those that have something
  std::uint32_t parked_ = 0, tunnels_ = 0, waiting_ = 0;
};

}  // namespace shoal::net
