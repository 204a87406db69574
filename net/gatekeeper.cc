// SPDX-License-Identifier: Apache-2.0
#include "net/gatekeeper.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace shoal::net {
namespace {

// What one address may ask beyond one peer: several peers share it.
constexpr double kPeersPerAddress = 4;

Rate times(Rate rate, double factor) { return {rate.burst * factor, rate.per_second * factor}; }

}  // namespace

Network Network::of(const proto::Endpoint& address) {
  Network network{address.address};
  if (!address.is_v4()) std::fill(network.bytes.begin() + 8, network.bytes.end(), 0);
  return network;
}

const char* name_of(Refusal refusal) {
  static constexpr const char* kNames[kRefusals] = {"none",        "full",     "address_full",
                                                    "handshakes",  "rate",     "address_banned",
                                                    "peer_banned", "peer_full"};
  CHECK(refusal < Refusal::kCount);
  return kNames[static_cast<std::size_t>(refusal)];
}

Gatekeeper::Place::Place(const GateLimits& limits, Time now)
    : arrivals(limits.arrivals, now),
      failures(limits.failures, now),
      streams(times(limits.streams, kPeersPerAddress), now),
      newcomer_streams(times(limits.newcomer_streams, kPeersPerAddress), now),
      resets(times(limits.resets, kPeersPerAddress), now) {}

Gatekeeper::Peer::Peer(const GateLimits& limits, Time now)
    : streams(limits.streams, now),
      newcomer_streams(limits.newcomer_streams, now),
      resets(limits.resets, now) {}

// Entries that say nothing that a new one would not say. Full tables lose what costs least: those
// without a connection.
void Gatekeeper::forget(Time now) {
  absl::erase_if(places_, [&](auto& entry) {
    Place& place = entry.second;
    for (auto good = place.good.begin(); good != place.good.end();) {
      good = now - good->second > limits_.standing ? place.good.erase(good) : std::next(good);
    }
    return place.connections == 0 && place.banned_until <= now && place.good.empty() &&
           place.arrivals.is_full(now) && place.failures.is_full(now) &&
           place.streams.is_full(now) && place.newcomer_streams.is_full(now) &&
           place.resets.is_full(now);
  });
  for (auto entry = peers_.begin(); entry != peers_.end();) {
    Peer& peer = entry->second;
    const bool blank = peer.connections == 0 && peer.banned_until <= now &&
                       peer.streams.is_full(now) && peer.newcomer_streams.is_full(now) &&
                       peer.resets.is_full(now);
    entry = blank ? peers_.erase(entry) : std::next(entry);
  }
  const auto surplus_of = [](const auto& table) {
    return table.size() < proto::kMaxRemembered ? std::size_t{0} : table.size() / 2;
  };
  const auto drop = [](const auto& entry, std::size_t& surplus) {
    return entry.second.connections == 0 && surplus > 0 && surplus-- > 0;
  };
  std::size_t surplus = surplus_of(places_);
  absl::erase_if(places_, [&](const auto& entry) { return drop(entry, surplus); });
  surplus = surplus_of(peers_);
  std::erase_if(peers_, [&](const auto& entry) { return drop(entry, surplus); });
}

Gatekeeper::Place& Gatekeeper::place(const Network& network, Time now) {
  if (const auto found = places_.find(network); found != places_.end()) return found->second;
  if (places_.size() >= proto::kMaxRemembered) forget(now);
  return places_.emplace(network, Place(limits_, now)).first->second;
}

Gatekeeper::Peer& Gatekeeper::peer(const proto::PeerId& id, Time now) {
  if (const auto found = peers_.find(id); found != peers_.end()) return found->second;
  if (peers_.size() >= proto::kMaxRemembered) forget(now);
  return peers_.emplace(id, Peer(limits_, now)).first->second;
}

// Somebody at this banned address may come in, so TLS must say who it is.
bool Gatekeeper::vouched(const Place& place, Time now) const {
  if (place.bad.size() >= proto::kMaxBadNeighbours) return false;
  return std::any_of(place.good.begin(), place.good.end(),
                     [&](const auto& good) { return now - good.second <= limits_.standing; });
}

bool Gatekeeper::stands_well(const Place& place, const proto::PeerId& id, Time now) const {
  const auto good = place.good.find(id);
  return good != place.good.end() && now - good->second <= limits_.standing;
}

Refusal Gatekeeper::arrive(const Network& network, Time now) {
  Place& place = this->place(network, now);
  if (place.banned_until > now && !vouched(place, now)) return Refusal::kAddressBanned;
  if (connections_ >= limits_.connections) return Refusal::kFull;
  if (place.connections >= limits_.connections_per_address) return Refusal::kAddressFull;
  if (handshakes_ >= limits_.handshakes || place.handshakes >= limits_.handshakes_per_address) {
    return Refusal::kHandshakes;
  }
  if (!place.arrivals.take(now)) return Refusal::kRate;
  ++connections_;
  ++handshakes_;
  ++place.connections;
  ++place.handshakes;
  return Refusal::kNone;
}

Refusal Gatekeeper::identify(const Network& network, const proto::PeerId& id, Time now) {
  Place& place = this->place(network, now);
  --handshakes_;
  --place.handshakes;
  if (is_banned(id, now)) return Refusal::kPeerBanned;
  if (place.banned_until > now && (!stands_well(place, id, now) || !vouched(place, now))) {
    return Refusal::kAddressBanned;
  }
  Peer& peer = this->peer(id, now);
  if (peer.connections >= limits_.connections_per_peer) return Refusal::kPeerFull;
  ++peer.connections;
  return Refusal::kNone;
}

void Gatekeeper::fail(const Network& network, Time now) {
  --handshakes_;
  --place(network, now).handshakes;
  strike(network, now);
}

void Gatekeeper::strike(const Network& network, Time now, double weight) {
  Place& place = this->place(network, now);
  if (!place.failures.take(now, weight)) place.banned_until = now + limits_.ban;
}

void Gatekeeper::depart(const Network& network, const std::optional<proto::PeerId>& id) {
  --connections_;
  if (const auto place = places_.find(network); place != places_.end()) {
    --place->second.connections;
  }
  if (!id) return;
  if (const auto peer = peers_.find(*id); peer != peers_.end()) --peer->second.connections;
}

Verdict Gatekeeper::count(const Network& network, const proto::PeerId& id, std::uint64_t opened,
                          std::uint64_t resets, Time now) {
  Place& place = this->place(network, now);
  Peer& peer = this->peer(id, now);
  if (!peer.resets.take(now, static_cast<double>(resets))) return {Fault::kResets, {}};
  const bool stands_well = this->stands_well(place, id, now);
  TokenBucket& own = stands_well ? peer.streams : peer.newcomer_streams;
  TokenBucket& shared = stands_well ? place.streams : place.newcomer_streams;
  const bool was_calm = own.has(now, own.rate().burst / 2);
  const auto streams = static_cast<double>(opened);
  const Time paid = own.charge(now, streams);
  if (was_calm || paid <= now) peer.slowed_since.reset();
  if (paid > now) {
    if (!peer.slowed_since) peer.slowed_since = now;
    if (now - *peer.slowed_since > limits_.patience) return {Fault::kStreams, {}};
  }
  // What neighbours do costs time, and no ban.
  return {Fault::kNone, std::max({paid, shared.charge(now, streams),
                                  place.resets.charge(now, static_cast<double>(resets))})};
}

void Gatekeeper::praise(const Network& network, const proto::PeerId& id, Time now) {
  if (is_banned(id, now)) return;
  Place& place = this->place(network, now);
  if (place.good.size() >= proto::kMaxGoodPerAddress && !place.good.contains(id)) return;
  place.good[id] = now;
}

void Gatekeeper::abuse(const Network& network, const std::optional<proto::PeerId>& id, Time now) {
  Place& place = this->place(network, now);
  if (place.banned_until <= now) place.bad.clear();
  place.banned_until = now + limits_.ban;
  if (!id) return;
  place.good.erase(*id);
  const bool counted = std::find(place.bad.begin(), place.bad.end(), *id) != place.bad.end();
  if (!counted && place.bad.size() < proto::kMaxBadNeighbours) place.bad.push_back(*id);
  peer(*id, now).banned_until = now + limits_.ban;
}

bool Gatekeeper::is_banned(const proto::PeerId& id, Time now) const {
  const auto found = peers_.find(id);
  return found != peers_.end() && found->second.banned_until > now;
}

}  // namespace shoal::net
