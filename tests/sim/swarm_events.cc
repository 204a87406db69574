// SPDX-License-Identifier: Apache-2.0
// How a swarm goes from event to event.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "proto/limits.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {
namespace {

// What a socket buffers for a process that does not run: 200 KiB of datagrams of 800 bytes.
constexpr std::uint32_t kSocketBuffer = 256;
// Time-outs at one instant, beyond which a peer is said to spin.
constexpr std::uint32_t kMaxSpins = 1000;

}  // namespace

void Swarm::drain(PeerIndex index) {
  Turn turn;
  collect(in_step(index), turn);
  carry_out(index, turn);
}

void Swarm::collect(const Peer& peer, Turn& turn) {
  turn.outgoing.clear();
  turn.events.clear();
  while (auto outgoing = peer.actor->poll_transmit()) turn.outgoing.push_back(*std::move(outgoing));
  if (peer.core != nullptr) {
    while (auto event = peer.core->poll_event()) turn.events.push_back(*std::move(event));
  }
  turn.next_timeout = peer.actor->next_timeout();
}

void Swarm::carry_out(PeerIndex index, Turn& turn) {
  Peer& peer = peers_[index];
  for (Outgoing& outgoing : turn.outgoing) transmit(index, std::move(outgoing));
  const std::uint32_t life = peer.generation;
  for (dht::Event& event : turn.events) {
    finish(index, std::move(event));
    if (peer.generation != life || !peer.actor) return;  // what it heard made it leave
  }
  if (!turn.events.empty()) turn.next_timeout = peer.actor->next_timeout();
  const auto next = turn.next_timeout;
  peer.wanted = next ? std::max(now_, peer.clock.world(*next)) : dht::TimePoint::max();
  // An earlier timer stays: it looks again when it fires.
  if (peer.wanted >= peer.timer) return;
  peer.timer = peer.wanted;
  queue_.push(peer.timer, {Next::kTimer, index, 0, peer.generation});
}

std::uint32_t Swarm::take_slot() {
  if (free_slots_.empty()) {
    in_flight_.emplace_back();
    return static_cast<std::uint32_t>(in_flight_.size() - 1);
  }
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void Swarm::transmit(PeerIndex from, Outgoing outgoing) {
  const proto::Endpoint source = outgoing.forged_source.value_or(peers_[from].endpoint);
  int copies = tamper_ == nullptr ? 1 : tamper_->copies(from, outgoing.datagram);
  for (; copies > 1; --copies) launch(from, source, outgoing.datagram);
  if (copies == 1) launch(from, source, std::move(outgoing.datagram));
}

void Swarm::launch(PeerIndex from, const proto::Endpoint& source, dht::Datagram datagram) {
  Peer& peer = peers_[from];
  ++peer.sent;
  ++datagrams_;
  datagram_bytes_ += datagram.bytes.size();
  CHECK(datagram.bytes.size() <= proto::kMaxDatagramBytes) << datagram.bytes.size();
  if (observer_ != nullptr) observer_->on_sent(from, source, datagram);
  const PeerIndex to = book_.find(datagram.to);
  if (to == kNobody) return;
  const Network::Fate fate = network_.send(from, to, now_);
  for (std::size_t i = 0; i < fate.count; ++i) {
    const std::uint32_t slot = take_slot();
    InFlight& in_flight = in_flight_[slot];
    in_flight.bytes = i + 1 < fate.count ? datagram.bytes : std::move(datagram.bytes);
    in_flight.from = source;
    in_flight.sender = from;
    if (fate.copies[i].corrupt && !in_flight.bytes.empty()) {
      char& byte = in_flight.bytes[random_.below(in_flight.bytes.size())];
      byte = static_cast<char>(byte ^ static_cast<char>(1 + random_.below(255)));
    }
    queue_.push(now_ + fate.copies[i].delay, {Next::kArrive, to, slot, peers_[to].moves});
  }
}

// Whether the event will reach its peer's core, as things are now.
bool Swarm::reaches_core(const Next& next, dht::TimePoint when) const {
  const Peer& peer = peers_[next.peer];
  if (peer.core == nullptr || when < peer.paused_until) return false;
  if (next.kind == Next::kTimer)
    return next.mark == peer.generation && peer.timer == when && when >= peer.wanted;
  return next.mark == peer.moves && (next.kind == Next::kServe || !peer.server);
}

// Changes the peer's core and nothing else: peers may take their turns at once.
Swarm::Turn& Swarm::take_turn(const Next& next, dht::TimePoint when, Turn& turn) const {
  const Peer& peer = peers_[next.peer];
  const dht::TimePoint local = peer.clock.local(when);
  if (next.kind == Next::kTimer) {
    const auto due = peer.actor->next_timeout();
    turn.due = due && *due <= local;
    if (turn.due) peer.actor->handle_timeout(local);
  } else {
    const InFlight& in_flight = in_flight_[next.slot];
    peer.actor->handle_datagram(in_flight.bytes, in_flight.from, local);
  }
  collect(peer, turn);
  turn.still_due = turn.next_timeout && *turn.next_timeout <= local;
  return turn;
}

void Swarm::arrive(const Next& next, Turn* taken) {
  Peer& peer = in_step(next.peer);
  const auto lose = [&] {
    in_flight_[next.slot].bytes.clear();
    free_slots_.push_back(next.slot);
  };
  if (!peer.actor || next.mark != peer.moves) return lose();
  if (now_ < peer.paused_until) {
    if (++peer.buffered > kSocketBuffer) return lose();
    queue_.push(peer.paused_until, next);
    return;
  }
  peer.buffered = 0;
  if (peer.server && next.kind == Next::kArrive) {
    const auto served = peer.server->arrive(now_);
    if (!served) return lose();
    queue_.push(*served, {Next::kServe, next.peer, next.slot, next.mark});
    return;
  }
  deliver(next, taken);
}

void Swarm::deliver(const Next& next, Turn* taken) {
  Peer& peer = peers_[next.peer];
  InFlight& in_flight = in_flight_[next.slot];
  const std::size_t size = in_flight.bytes.size();
  ++events_;
  ++peer.received;
  hash(std::uint64_t{in_flight.sender} << 32 | next.peer);
  hash(static_cast<std::uint64_t>(now_.time_since_epoch().count()) ^
       static_cast<std::uint64_t>(size) << 48);
  if (observer_ != nullptr) observer_->on_delivered(next.peer, in_flight.from, size);
  Turn& turn = taken != nullptr ? *taken : take_turn(next, now_, turn_);
  in_flight.bytes.clear();
  free_slots_.push_back(next.slot);
  carry_out(next.peer, turn);
  if (observer_ != nullptr && peer.core != nullptr) observer_->on_handled(next.peer);
}

void Swarm::fire(const Next& next, Turn* taken) {
  Peer& peer = in_step(next.peer);
  if (!peer.actor || next.mark != peer.generation || peer.timer != now_) return;
  if (now_ < peer.paused_until) {
    peer.timer = peer.paused_until;
    queue_.push(peer.timer, next);
    return;
  }
  peer.timer = dht::TimePoint::max();
  if (now_ < peer.wanted) {  // what it was set for has happened, or was put off
    if (peer.wanted == dht::TimePoint::max()) return;
    peer.timer = peer.wanted;
    queue_.push(peer.timer, next);
    return;
  }
  Turn& turn = taken != nullptr ? *taken : take_turn(next, now_, turn_);
  if (turn.due) {
    ++events_;
    hash(next.peer);
    hash(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    peer.spins = turn.still_due ? peer.spins + 1 : 0;
    CHECK(peer.spins < kMaxSpins) << "peer " << next.peer << " is always due";
  }
  carry_out(next.peer, turn);
  if (observer_ != nullptr && peer.core != nullptr) observer_->on_handled(next.peer);
}

// With thousands of peers nearly every event finds its peer's memory cold: it is fetched while the
// event before it is handled.
void Swarm::foresee(const Next& next) const {
  if (next.kind == Next::kAction) return;
  __builtin_prefetch(&peers_[next.peer]);
  if (next.kind != Next::kTimer) {
    const InFlight& in_flight = in_flight_[next.slot];
    const char* bytes = in_flight.bytes.data();
    for (std::size_t i = 0; i < in_flight.bytes.size(); i += 64) __builtin_prefetch(bytes + i);
  }
  const auto* core = reinterpret_cast<const char*>(cores_[next.peer]);
  if (core == nullptr) return;
  for (std::size_t i = 0; i < sizeof(dht::Kademlia); i += 64) __builtin_prefetch(core + i);
}

bool Swarm::step(dht::TimePoint until) {
  if (queue_.empty() || queue_.top().when > until) return false;
  const Next next = queue_.top().value;
  CHECK(queue_.top().when >= now_);
  now_ = queue_.top().when;
  queue_.pop();
  if (!queue_.empty()) foresee(queue_.top().value);
  dispatch(next, nullptr);
  return true;
}

void Swarm::dispatch(const Next& next, Turn* taken) {
  switch (next.kind) {
    case Next::kArrive:
    case Next::kServe:
      return arrive(next, taken);
    case Next::kTimer:
      return fire(next, taken);
    case Next::kAction: {
      const Action action = std::move(actions_[next.slot]);
      actions_[next.slot] = nullptr;
      free_actions_.push_back(next.slot);
      return action();
    }
  }
}

// Takes from the queue what comes next, as long as no event can bear on a later one: each peer
// once, and nobody can hear of another in less than the shortest way. Actions may touch anybody.
void Swarm::plan(dht::TimePoint until) {
  planned_ = 0;
  if (queue_.empty()) return;
  const dht::TimePoint end = queue_.top().when + network_.shortest_way();
  while (planned_ < batch_.size() && !queue_.empty()) {
    const auto& top = queue_.top();
    if (top.when > until || top.when >= end || top.value.kind == Next::kAction) return;
    Peer& peer = peers_[top.value.peer];
    if (std::exchange(peer.planned, true)) return;
    Planned& planned = batch_[planned_++];
    planned.next = top.value;
    planned.when = top.when;
    planned.ahead = reaches_core(top.value, top.when);
    queue_.pop();
  }
}

bool Swarm::step_together(dht::TimePoint until) {
  CHECK(observer_ == nullptr && tamper_ == nullptr) << "who observes sees each event by itself";
  plan(until);
  if (planned_ == 0) return step(until);
  const std::function<void(std::int64_t, std::int64_t)> advance = [&](std::int64_t begin,
                                                                      std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Planned& planned = batch_[static_cast<std::size_t>(i)];
      if (i + 1 < end) foresee(batch_[static_cast<std::size_t>(i + 1)].next);
      if (planned.ahead) take_turn(planned.next, planned.when, planned.turn);
    }
  };
  executor_->parallel_for(static_cast<std::int64_t>(planned_), 1, advance);
  for (std::size_t i = 0; i < planned_; ++i) {
    Planned& planned = batch_[i];
    // What the batch itself has brought about in the meantime: timers of peers that had their turn.
    while (!queue_.empty() && queue_.top().when < planned.when) step(planned.when);
    CHECK(planned.when >= now_);
    now_ = planned.when;
    peers_[planned.next.peer].planned = false;
    dispatch(planned.next, planned.ahead ? &planned.turn : nullptr);
  }
  return true;
}

void Swarm::run_until(dht::TimePoint when) {
  while (executor_ ? step_together(when) : step(when)) {
  }
  now_ = std::max(now_, when);
}

}  // namespace shoal::sim
