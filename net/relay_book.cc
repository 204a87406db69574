// SPDX-License-Identifier: Apache-2.0
#include "net/relay_book.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::net {
namespace {

using proto::TunnelRefusal;

// When to ask again: rooms empty slowly, rates are earned soon.
constexpr std::uint32_t kRetryFullMs = 30'000;
constexpr std::uint32_t kRetryShareMs = 2'000;
constexpr std::uint32_t kRetryNotParkedMs = 5'000;
// Peers that left nothing but a memory; about 200 bytes each.
constexpr std::size_t kRelayRemembered = 4'096;

}  // namespace

RelayBook::Peer& RelayBook::peer(const proto::PeerId& id, Time now) {
  if (peers_.size() >= kRelayRemembered && !peers_.contains(id)) forget(now);
  return peers_.try_emplace(id, limits_.calls, now).first->second;
}

// All that would be the same if they came anew.
void RelayBook::forget(Time now) {
  std::erase_if(peers_, [&](const auto& entry) {
    const Peer& peer = entry.second;
    const bool lately = peer.parked_lately && now < *peer.parked_lately + limits_.wait_after;
    TokenBucket bucket = peer.bucket;
    return peer.idle() && !lately && bucket.is_full(now);
  });
}

void RelayBook::uncount(const Network& from, std::uint32_t Address::*count) {
  const auto found = addresses_.find(from);
  CHECK(found != addresses_.end() && found->second.*count > 0);
  --(found->second.*count);
  if (found->second.parked + found->second.calls == 0) addresses_.erase(found);
}

std::uint32_t RelayBook::tunnels_of(const proto::PeerId& caller,
                                    const proto::PeerId& target) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(connections_, [&](const auto& entry) {
    const Connection& one = entry.second;
    return one.place == Place::kTunnel && one.peer == caller && one.target == target;
  }));
}

RelayBook::Answer RelayBook::park(const proto::PeerId& id, Id connection, Time now,
                                  const Network& from, bool last) {
  Peer& own = peer(id, now);
  const auto neighbours = addresses_.find(from);
  if (own.parks() >= limits_.parked_per_peer ||
      (neighbours != addresses_.end() && neighbours->second.parked >= limits_.parked_per_address)) {
    return {{TunnelRefusal::kYourShare, kRetryShareMs}, {}};
  }
  if (parked_ >= limits_.parked) return {{TunnelRefusal::kFull, kRetryFullMs}, {}};
  connections_[connection] = {Place::kParked, id, {}, 0, now, from};
  ++addresses_[from].parked;
  (last ? own.parked_last : own.parked).push_back(connection);
  own.parked_lately = now;
  ++parked_;
  if (own.calls.empty()) return {};
  const Id caller = own.calls.front();
  Peer& calling = peers_.at(connections_.at(caller).peer);
  own.calls.pop_front();
  --calling.waits;
  --waiting_;
  return {{}, connect(connection, caller)};
}

RelayBook::Answer RelayBook::call(const proto::PeerId& caller, const proto::PeerId& target,
                                  Id connection, Time now, const Network& from) {
  if (!peer(caller, now).bucket.take(now)) {
    return {{TunnelRefusal::kYourShare, kRetryShareMs}, {}};
  }
  if (caller == target || !peers_.contains(target)) {
    return {{TunnelRefusal::kNotParked, kRetryNotParkedMs}, {}};
  }
  const auto neighbours = addresses_.find(from);
  if (neighbours != addresses_.end() && neighbours->second.calls >= limits_.tunnels_per_address) {
    return {{TunnelRefusal::kYourShare, kRetryShareMs}, {}};
  }
  connections_[connection] = {Place::kWaits, caller, target, 0, now, from};
  ++addresses_[from].calls;
  return place(connection, now);
}

RelayBook::Answer RelayBook::call_again(const Tunnel& tunnel, Time now) {
  Connection caller = connections_.at(tunnel.caller);
  gone(tunnel.parked, now);
  caller.place = Place::kWaits;
  caller.other = 0;
  connections_[tunnel.caller] = caller;
  ++addresses_[caller.from].calls;  // gone() has taken it out
  return place(tunnel.caller, now);
}

RelayBook::Answer RelayBook::place(Id id, Time now) {
  const Connection& connection = connections_.at(id);
  Peer& caller = peers_.at(connection.peer);
  Peer& target = peers_.at(connection.target);
  const auto refuse = [&](TunnelRefusal why, std::uint32_t retry_ms) {
    uncount(connection.from, &Address::calls);
    connections_.erase(id);
    return Answer{{why, retry_ms}, {}};
  };
  if (caller.tunnels_as_caller + caller.waits >= limits_.tunnels_per_caller) {
    return refuse(TunnelRefusal::kYourShare, kRetryShareMs);
  }
  if (tunnels_of(connection.peer, connection.target) >= limits_.tunnels_per_pair) {
    return refuse(TunnelRefusal::kYourShare, kRetryShareMs);
  }
  if (target.tunnels_as_target + target.calls.size() >= limits_.tunnels_per_target) {
    return refuse(TunnelRefusal::kTheirShare, kRetryShareMs);
  }
  if (tunnels_ + waiting_ >= limits_.tunnels) return refuse(TunnelRefusal::kFull, kRetryFullMs);
  if (target.parks() > 0) {
    const Id parked = target.parked.empty() ? target.parked_last.front() : target.parked.front();
    return {{}, connect(parked, id)};
  }
  const bool lately = target.parked_lately && now < *target.parked_lately + limits_.wait_after;
  if (!lately || now >= connection.since + limits_.wait) {
    return refuse(TunnelRefusal::kNotParked, kRetryNotParkedMs);
  }
  const auto same = std::ranges::count_if(
      target.calls, [&](Id one) { return connections_.at(one).peer == connection.peer; });
  if (caller.waits >= limits_.waiting_per_peer || same >= limits_.waiting_per_pair) {
    return refuse(TunnelRefusal::kYourShare, kRetryShareMs);
  }
  if (target.calls.size() >= limits_.waiting_per_peer) {
    return refuse(TunnelRefusal::kTheirShare, kRetryShareMs);
  }
  if (waiting_ >= limits_.waiting) return refuse(TunnelRefusal::kFull, kRetryShareMs);
  target.calls.push_back(id);
  ++caller.waits;
  ++waiting_;
  return {};
}

RelayBook::Tunnel RelayBook::connect(Id parked, Id caller) {
  Connection& there = connections_.at(parked);
  Connection& here = connections_.at(caller);
  Peer& target = peers_.at(there.peer);
  std::erase(target.parked, parked);
  std::erase(target.parked_last, parked);
  --parked_;
  uncount(there.from, &Address::parked);
  ++target.tunnels_as_target;
  ++peers_.at(here.peer).tunnels_as_caller;
  ++tunnels_;
  there.place = here.place = Place::kTunnel;
  there.other = caller;
  here.other = parked;
  return {parked, caller};
}

void RelayBook::gone(Id id, Time now) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Connection connection = found->second;
  connections_.erase(found);
  Peer& own = peers_.at(connection.peer);
  switch (connection.place) {
    case Place::kParked:
      std::erase(own.parked, id);
      std::erase(own.parked_last, id);
      own.parked_lately = now;
      --parked_;
      uncount(connection.from, &Address::parked);
      break;
    case Place::kWaits:
      std::erase(peers_.at(connection.target).calls, id);
      --own.waits;
      --waiting_;
      uncount(connection.from, &Address::calls);
      break;
    case Place::kTunnel: {
      const auto other = connections_.find(connection.other);
      CHECK(other != connections_.end());
      const Connection& caller = connection.target == proto::PeerId() ? other->second : connection;
      uncount(caller.from, &Address::calls);
      --peers_.at(caller.peer).tunnels_as_caller;
      --peers_.at(caller.target).tunnels_as_target;
      --tunnels_;
      connections_.erase(other);
      break;
    }
  }
}

std::vector<RelayBook::Late> RelayBook::overdue(Time now) {
  std::vector<Late> late;
  for (const auto& [id, connection] : connections_) {
    if (connection.place != Place::kWaits || now < connection.since + limits_.wait) continue;
    late.push_back({id, {TunnelRefusal::kNotParked, kRetryNotParkedMs}});
  }
  for (const Late& call : late) gone(call.id, now);
  return late;
}

std::optional<RelayBook::Time> RelayBook::next() const {
  std::optional<Time> next;
  for (const auto& [id, connection] : connections_) {
    if (connection.place != Place::kWaits) continue;
    const Time due = connection.since + limits_.wait;
    if (!next || due < *next) next = due;
  }
  return next;
}

std::uint32_t RelayBook::parked_peers() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(peers_, [](const auto& entry) { return entry.second.parks() > 0; }));
}

}  // namespace shoal::net
