// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/swarm.h"

#include <algorithm>

namespace shoal::sim {
namespace {

// Events that are handled together at most: enough to keep threads busy, few enough to stay in a
// cache.
constexpr std::size_t kMaxBatch = 64;

}  // namespace

Swarm::Swarm(const SwarmOptions& options)
    : network_(options.links, options.seed),
      plan_(options.addresses, options.seed),
      random_(options.seed ^ 0x5eed),
      default_config_(std::make_shared<dht::KademliaConfig>()),
      executor_(options.threads > 1
                    ? std::make_unique<kernels::CpuExecutor>(
                          options.threads, kernels::cpu_kernels(kernels::IsaLevel::kBaseline))
                    : nullptr),
      batch_(kMaxBatch) {}

identity::Identity Swarm::draw_identity() {
  return identity::Identity::from_seed(random_.bytes<32>());
}

PeerIndex Swarm::insert(const proto::Endpoint& endpoint, const identity::Identity& identity) {
  const auto index = static_cast<PeerIndex>(peers_.size());
  peers_.emplace_back(identity);
  cores_.push_back(nullptr);
  peers_.back().endpoint = endpoint;
  book_.set(endpoint, index);
  return index;
}

PeerIndex Swarm::add(Config config) {
  const proto::Endpoint endpoint = plan_.next();
  return add_at(endpoint, draw_identity(), std::move(config));
}

PeerIndex Swarm::add_at(const proto::Endpoint& endpoint, const identity::Identity& identity,
                        Config config) {
  const PeerIndex index = insert(endpoint, identity);
  peers_[index].config = config ? std::move(config) : default_config_;
  start(index);
  return index;
}

PeerIndex Swarm::add(std::unique_ptr<Participant> actor, const proto::Endpoint& endpoint,
                     const identity::Identity& identity) {
  const PeerIndex index = insert(endpoint, identity);
  peers_[index].honest = false;
  peers_[index].actor = std::move(actor);
  drain(index);
  return index;
}

void Swarm::start(PeerIndex index) {
  Peer& peer = in_step(index);
  ++peer.generation;
  peer.timer = dht::TimePoint::max();
  peer.paused_until = {};
  peer.buffered = 0;
  auto actor = std::make_unique<HonestPeer>(*peer.config, peer.identity, random_.bytes<32>(),
                                            peer.clock.local(now_));
  cores_[index] = peer.core = &actor->core();
  ++peer.cores;
  peer.actor = std::move(actor);
  drain(index);
}

void Swarm::crash(PeerIndex index) {
  Peer& peer = in_step(index);
  peer.actor.reset();
  cores_[index] = peer.core = nullptr;
  ++peer.generation;
  peer.waiting.clear();
  peer.done.clear();
}

void Swarm::restart(PeerIndex index) { start(index); }

void Swarm::restart(PeerIndex index, const identity::Identity& identity) {
  peers_[index].identity = identity;
  peers_[index].sequence = 0;
  start(index);
}

void Swarm::set_config(PeerIndex index, Config config) { peers_[index].config = std::move(config); }

void Swarm::forget(PeerIndex index) {
  Peer& peer = in_step(index);
  auto actor = std::make_unique<HonestPeer>(*peer.config, peer.identity, random_.bytes<32>(),
                                            peer.clock.local(now_));
  cores_[index] = peer.core = &actor->core();
  ++peer.cores;
  peer.actor = std::move(actor);
  peer.timer = dht::TimePoint::max();
}

void Swarm::move(PeerIndex index) {
  Peer& peer = in_step(index);
  book_.erase(peer.endpoint);
  peer.endpoint = plan_.next();
  ++peer.moves;
  book_.set(peer.endpoint, index);
}

void Swarm::pause(PeerIndex index, dht::Duration duration) {
  in_step(index).paused_until = now_ + duration;
}

void Swarm::set_clock(PeerIndex index, double rate) {
  Peer& peer = in_step(index);
  peer.clock = LocalClock(now_, peer.clock.local(now_), rate);
  peer.timer = dht::TimePoint::max();
  drain(index);
}

void Swarm::jump_clock(PeerIndex index, dht::Duration forward) {
  Peer& peer = in_step(index);
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

void Swarm::handle(PeerIndex index, std::string_view bytes, const proto::Endpoint& from) {
  if (observer_ != nullptr) observer_->on_delivered(index, from, bytes.size());
  in_step(index).actor->handle_datagram(bytes, from, local_time(index));
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
  in_step(to).actor->handle_datagram(bytes, from, local_time(to));
  drain(to);
}

}  // namespace shoal::sim
