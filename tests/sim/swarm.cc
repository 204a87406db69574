// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/swarm.h"

#include <algorithm>

#include "kernels/check.h"
#include "proto/limits.h"

namespace shoal::sim {
namespace {

// What a socket buffers for a process that does not run: 200 KiB of datagrams of 800 bytes.
constexpr std::uint32_t kSocketBuffer = 256;
// Time-outs at one instant, beyond which a peer is said to spin.
constexpr std::uint32_t kMaxSpins = 1000;

}  // namespace

Swarm::Swarm(const SwarmOptions& options)
    : network_(options.links, options.seed),
      plan_(options.addresses, options.seed),
      random_(options.seed ^ 0x5eed),
      default_config_(std::make_shared<dht::KademliaConfig>()) {}

dht::Identity Swarm::draw_identity() { return dht::Identity::from_seed(random_.bytes<32>()); }

PeerIndex Swarm::insert(const proto::Endpoint& endpoint, const dht::Identity& identity) {
  const auto index = static_cast<PeerIndex>(peers_.size());
  peers_.emplace_back(identity);
  peers_.back().endpoint = endpoint;
  book_.set(endpoint, index);
  return index;
}

PeerIndex Swarm::add(Config config) {
  const proto::Endpoint endpoint = plan_.next();
  return add_at(endpoint, draw_identity(), std::move(config));
}

PeerIndex Swarm::add_at(const proto::Endpoint& endpoint, const dht::Identity& identity,
                        Config config) {
  const PeerIndex index = insert(endpoint, identity);
  peers_[index].config = config ? std::move(config) : default_config_;
  start(index);
  return index;
}

PeerIndex Swarm::add(std::unique_ptr<Participant> actor, const proto::Endpoint& endpoint,
                     const dht::Identity& identity) {
  const PeerIndex index = insert(endpoint, identity);
  peers_[index].honest = false;
  peers_[index].actor = std::move(actor);
  drain(index);
  return index;
}

void Swarm::start(PeerIndex index) {
  Peer& peer = peers_[index];
  ++peer.generation;
  peer.timer = dht::TimePoint::max();
  peer.paused_until = {};
  peer.buffered = 0;
  auto actor = std::make_unique<HonestPeer>(*peer.config, peer.identity, random_.bytes<32>(),
                                            peer.clock.local(now_));
  peer.core = &actor->core();
  ++peer.cores;
  peer.actor = std::move(actor);
  drain(index);
}

void Swarm::crash(PeerIndex index) {
  Peer& peer = peers_[index];
  peer.actor.reset();
  peer.core = nullptr;
  ++peer.generation;
  peer.waiting.clear();
  peer.done.clear();
}

void Swarm::restart(PeerIndex index) { start(index); }

void Swarm::restart(PeerIndex index, const dht::Identity& identity) {
  peers_[index].identity = identity;
  peers_[index].sequence = 0;
  start(index);
}

void Swarm::set_config(PeerIndex index, Config config) { peers_[index].config = std::move(config); }

void Swarm::forget(PeerIndex index) {
  Peer& peer = peers_[index];
  auto actor = std::make_unique<HonestPeer>(*peer.config, peer.identity, random_.bytes<32>(),
                                            peer.clock.local(now_));
  peer.core = &actor->core();
  ++peer.cores;
  peer.actor = std::move(actor);
  peer.timer = dht::TimePoint::max();
}

void Swarm::move(PeerIndex index) {
  Peer& peer = peers_[index];
  book_.erase(peer.endpoint);
  peer.endpoint = plan_.next();
  ++peer.moves;
  book_.set(peer.endpoint, index);
}

void Swarm::pause(PeerIndex index, dht::Duration duration) {
  peers_[index].paused_until = now_ + duration;
}

void Swarm::set_clock(PeerIndex index, double rate) {
  Peer& peer = peers_[index];
  peer.clock = LocalClock(now_, peer.clock.local(now_), rate);
  peer.timer = dht::TimePoint::max();
  drain(index);
}

void Swarm::jump_clock(PeerIndex index, dht::Duration forward) {
  Peer& peer = peers_[index];
  peer.clock.jump(now_, forward);
  peer.timer = dht::TimePoint::max();
  if (peer.actor) drain(index);
}

void Swarm::limit(PeerIndex index, double datagrams_per_s, std::size_t queue) {
  peers_[index].server = std::make_unique<Server>(datagrams_per_s, queue);
}

dht::Contact Swarm::contact(PeerIndex index) const {
  const Peer& peer = peers_[index];
  return {peer.identity.peer_id(), peer.endpoint, peer.identity.public_key()};
}

dht::OperationId Swarm::bootstrap(PeerIndex index, const std::vector<PeerIndex>& at,
                                  dht::Duration timeout, Done done) {
  std::vector<proto::Endpoint> endpoints;
  for (const PeerIndex other : at) endpoints.push_back(endpoint(other));
  const auto id = core(index).bootstrap(std::move(endpoints), timeout, local_time(index));
  expect(index, id, std::move(done));
  return id;
}

dht::OperationId Swarm::find(PeerIndex index, const dht::Key& key, Done done, bool secure) {
  const dht::OperationId id = core(index).find(key, local_time(index), secure);
  expect(index, id, std::move(done));
  return id;
}

dht::OperationId Swarm::publish(PeerIndex index, dht::Record record, std::vector<dht::Key> keys,
                                Done done) {
  record.sequence = ++peers_[index].sequence;
  if (keys.empty()) keys = dht::keys_of(core(index).swarm_id(), record);
  const wire::SignedRecord message = dht::sign_record(peers_[index].identity, record);
  if (observer_ != nullptr) observer_->on_publish(index, message);
  const auto id = core(index).publish(message, std::move(keys), local_time(index));
  expect(index, id, std::move(done));
  return id;
}

void Swarm::restore(PeerIndex index, const std::vector<dht::Contact>& contacts, bool verified) {
  core(index).restore(contacts, verified, local_time(index));
  drain(index);
}

void Swarm::expect(PeerIndex index, dht::OperationId id, Done done) {
  if (done) peers_[index].waiting.emplace_back(id, std::move(done));
  drain(index);
}

void Swarm::finish(PeerIndex index, dht::Event event) {
  const int endings = tamper_ == nullptr ? 1 : tamper_->endings(index, event);
  if (endings == 0) return;
  if (observer_ != nullptr && endings > 1) observer_->on_event(index, event);
  if (observer_ != nullptr) observer_->on_event(index, event);
  Peer& peer = peers_[index];
  const auto it = std::find_if(peer.waiting.begin(), peer.waiting.end(),
                               [&](const auto& entry) { return entry.first == event.id; });
  if (it == peer.waiting.end()) {
    peer.done.push_back(std::move(event));
    return;
  }
  const Done done = std::move(it->second);
  peer.waiting.erase(it);
  done(event);
}

void Swarm::drain(PeerIndex index) {
  Peer& peer = peers_[index];
  while (auto outgoing = peer.actor->poll_transmit()) transmit(index, *std::move(outgoing));
  if (peer.core != nullptr) {
    const std::uint32_t life = peer.generation;
    while (auto event = peer.core->poll_event()) {
      finish(index, *std::move(event));
      if (peer.generation != life || peer.core == nullptr) return;  // what it heard made it leave
    }
  }
  const auto next = peer.actor->next_timeout();
  if (!next) return;
  const dht::TimePoint when = std::max(now_, peer.clock.world(*next));
  // An earlier timer stays: it looks again when it fires.
  if (when >= peer.timer) return;
  peer.timer = when;
  queue_.push(when, {Next::kTimer, index, 0, peer.generation});
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

void Swarm::at(dht::TimePoint when, Action action) {
  std::uint32_t slot = static_cast<std::uint32_t>(actions_.size());
  if (free_actions_.empty()) {
    actions_.emplace_back();
  } else {
    slot = free_actions_.back();
    free_actions_.pop_back();
  }
  actions_[slot] = std::move(action);
  queue_.push(std::max(when, now_), {Next::kAction, 0, slot, 0});
}

void Swarm::arrive(const Next& next) {
  Peer& peer = peers_[next.peer];
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
  deliver(next.peer, next.slot);
}

void Swarm::deliver(PeerIndex index, std::uint32_t slot) {
  Peer& peer = peers_[index];
  const InFlight in_flight = std::move(in_flight_[slot]);
  in_flight_[slot].bytes.clear();
  free_slots_.push_back(slot);
  ++events_;
  ++peer.received;
  hash(std::uint64_t{in_flight.sender} << 32 | index);
  hash(static_cast<std::uint64_t>(now_.time_since_epoch().count()) ^
       static_cast<std::uint64_t>(in_flight.bytes.size()) << 48);
  handle(index, in_flight.bytes, in_flight.from);
}

void Swarm::handle(PeerIndex index, std::string_view bytes, const proto::Endpoint& from) {
  if (observer_ != nullptr) observer_->on_delivered(index, from, bytes.size());
  peers_[index].actor->handle_datagram(bytes, from, local_time(index));
  drain(index);
  if (observer_ != nullptr && peers_[index].core != nullptr) observer_->on_handled(index);
}

void Swarm::forge(const proto::Endpoint& to, std::string_view bytes,
                  const proto::Endpoint& source) {
  const PeerIndex peer = book_.find(to);
  if (peer == kNobody || !is_up(peer) || now_ < peers_[peer].paused_until) return;
  ++events_;
  hash(peer);
  handle(peer, bytes, source);
}

void Swarm::fire(const Next& next) {
  Peer& peer = peers_[next.peer];
  if (!peer.actor || next.mark != peer.generation || peer.timer != now_) return;
  if (now_ < peer.paused_until) {
    peer.timer = peer.paused_until;
    queue_.push(peer.timer, next);
    return;
  }
  peer.timer = dht::TimePoint::max();
  const dht::TimePoint local = peer.clock.local(now_);
  const auto due = peer.actor->next_timeout();
  if (due && *due <= local) {
    ++events_;
    hash(next.peer);
    hash(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    peer.actor->handle_timeout(local);
    const auto after = peer.actor->next_timeout();
    peer.spins = after && *after <= local ? peer.spins + 1 : 0;
    CHECK(peer.spins < kMaxSpins) << "peer " << next.peer << " is always due";
  }
  drain(next.peer);
  if (observer_ != nullptr && peer.core != nullptr) observer_->on_handled(next.peer);
}

bool Swarm::step(dht::TimePoint until) {
  if (queue_.empty() || queue_.top().when > until) return false;
  const Next next = queue_.top().value;
  CHECK(queue_.top().when >= now_);
  now_ = queue_.top().when;
  queue_.pop();
  switch (next.kind) {
    case Next::kArrive:
    case Next::kServe:
      arrive(next);
      break;
    case Next::kTimer:
      fire(next);
      break;
    case Next::kAction: {
      const Action action = std::move(actions_[next.slot]);
      actions_[next.slot] = nullptr;
      free_actions_.push_back(next.slot);
      action();
      break;
    }
  }
  return true;
}

void Swarm::run_until(dht::TimePoint when) {
  while (step(when)) {
  }
  now_ = std::max(now_, when);
}

std::optional<dht::Event> Swarm::wait(PeerIndex index, dht::OperationId id, dht::Duration limit) {
  const dht::TimePoint until = now_ + limit;
  Peer& peer = peers_[index];
  for (;;) {
    const auto it = std::find_if(peer.done.begin(), peer.done.end(),
                                 [&](const dht::Event& event) { return event.id == id; });
    if (it != peer.done.end()) {
      dht::Event event = std::move(*it);
      peer.done.erase(it);
      return event;
    }
    if (!step(until)) return std::nullopt;
  }
}

void Swarm::inject(PeerIndex to, std::string_view bytes, const proto::Endpoint& from) {
  peers_[to].actor->handle_datagram(bytes, from, local_time(to));
  drain(to);
}

}  // namespace shoal::sim
