// SPDX-License-Identifier: Apache-2.0
// Whom the front lets in, and how fast they may ask: connections, handshakes and streams counted
// per address, per peer and in all, and bans. Decides only; knows no socket, and time comes by
// argument. One thread at a time. docs/protocol.md, "The front".
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "net/fault.h"
#include "net/token_bucket.h"
#include "proto/endpoint.h"
#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::net {

// What one household or server has: an IPv4 address, or the /64 of an IPv6 address.
struct Network {
  std::array<std::uint8_t, 16> bytes{};

  static Network of(const proto::Endpoint& address);
  friend bool operator==(const Network&, const Network&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Network& network) {
    return H::combine(std::move(state), network.bytes);
  }
};

enum class Refusal : std::uint8_t {
  kNone,
  kFull,           // connections in all
  kAddressFull,    // connections of the address
  kHandshakes,     // handshakes under way, of the address or in all
  kRate,           // connections of the address per second
  kAddressBanned,  //
  kPeerBanned,     //
  kPeerFull,       // connections of the peer
  kCount,
};
inline constexpr std::size_t kRefusals = static_cast<std::size_t>(Refusal::kCount);
const char* name_of(Refusal refusal);  // of a metric's label

// proto/limits.h has the reasons.
struct GateLimits {
  std::uint32_t connections = proto::kMaxConnections;
  std::uint32_t connections_per_address = proto::kMaxConnectionsPerAddress;
  std::uint32_t connections_per_peer = proto::kMaxConnectionsPerPeer;
  std::uint32_t handshakes = proto::kMaxHandshakes;
  std::uint32_t handshakes_per_address = proto::kMaxHandshakesPerAddress;
  Rate arrivals{proto::kArrivalsBurst, proto::kArrivalsPerSecond};
  Rate failures{proto::kFailuresBurst, proto::kFailuresPerSecond};
  Rate streams{proto::kStreamsBurst, proto::kStreamsPerSecond};  // of peers in good standing
  Rate newcomer_streams{proto::kNewcomerStreamsBurst, proto::kNewcomerStreamsPerSecond};
  Rate resets{proto::kResetsBurst, proto::kResetsPerSecond};
  std::chrono::milliseconds ban{proto::kBanMs};
  std::chrono::milliseconds standing{proto::kStandingMs};
  std::chrono::milliseconds patience{proto::kSlowedTimeoutMs};
};

class Gatekeeper {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Gatekeeper(GateLimits limits = {}) : limits_(limits) {}

  // A connection before its first byte. After kNone: identify() or fail(), then depart().
  Refusal arrive(const Network& network, Time now);
  // TLS came up. After a refusal the connection still departs, with no peer.
  Refusal identify(const Network& network, const proto::PeerId& peer, Time now);
  // TLS did not come up: garbage, silence, or no peer of ours.
  void fail(const Network& network, Time now);
  // gRPC has ended a connection of the peer's for what may be a mistake: as bad as `weight` that
  // never came up.
  void strike(const Network& network, Time now, double weight = 1);
  void depart(const Network& network, const std::optional<proto::PeerId>& peer);

  // Streams of the peer, over all its connections and those of its neighbours. What is opened too
  // fast waits; resets are never needed in such numbers.
  Verdict count(const Network& network, const proto::PeerId& peer, std::uint64_t opened,
                std::uint64_t resets, Time now);
  // The peer works with us, and not only since a moment: a bad neighbour does not shut it out.
  void praise(const Network& network, const proto::PeerId& peer, Time now);
  // It was hung up on for a fault. Bans the peer; and of its address all who have no good standing.
  void abuse(const Network& network, const std::optional<proto::PeerId>& peer, Time now);

  bool is_banned(const proto::PeerId& peer, Time now) const;
  std::uint32_t connections() const { return connections_; }
  std::size_t remembered() const { return places_.size() + peers_.size(); }

 private:
  struct Place {
    Place(const GateLimits& limits, Time now);
    std::uint32_t connections = 0;
    std::uint32_t handshakes = 0;
    TokenBucket arrivals, failures, streams, newcomer_streams, resets;
    Time banned_until{};
    // Peers that behaved, and when last; and those that did not since the ban began.
    std::map<proto::PeerId, Time> good;
    std::vector<proto::PeerId> bad;
  };
  struct Peer {
    Peer(const GateLimits& limits, Time now);
    std::uint32_t connections = 0;
    TokenBucket streams, newcomer_streams, resets;
    std::optional<Time> slowed_since;
    Time banned_until{};
  };

  Place& place(const Network& network, Time now);
  Peer& peer(const proto::PeerId& id, Time now);
  bool vouched(const Place& place, Time now) const;
  bool stands_well(const Place& place, const proto::PeerId& id, Time now) const;
  void forget(Time now);

  const GateLimits limits_;
  std::uint32_t connections_ = 0;
  std::uint32_t handshakes_ = 0;
  absl::flat_hash_map<Network, Place> places_;
  std::map<proto::PeerId, Peer> peers_;
};

}  // namespace shoal::net
