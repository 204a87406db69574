// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/sim_net.h"

#include <cmath>
#include <numbers>

#include "kernels/check.h"

namespace shoal::sim {
namespace {

constexpr std::uint16_t kPort = 7000;

}  // namespace

SimNet::SimNet(std::uint64_t seed, LinkModel links) : seed_(seed), links_(links), random_(seed) {}

// 10.x.y.z: a private range, as in a laboratory.
proto::Endpoint SimNet::endpoint(PeerIndex peer) const {
  return proto::Endpoint::v4(
      {10, static_cast<std::uint8_t>(peer >> 16), static_cast<std::uint8_t>(peer >> 8),
       static_cast<std::uint8_t>(peer)},
      kPort);
}

PeerIndex SimNet::add(const Options& options) {
  const auto seed = random_.bytes<32>();
  peers_.push_back(Peer{dht::Identity::from_seed(seed), options, nullptr, 0, {}, 0, 0, 0, {}});
  start(peers_.size() - 1);
  return peers_.size() - 1;
}

void SimNet::start(PeerIndex index) {
  Peer& peer = peers_[index];
  dht::KademliaConfig config;
  config.client_mode = peer.options.client_mode;
  config.swarm_key = peer.options.swarm_key;
  ++peer.generation;
  peer.timer.reset();
  peer.done.clear();
  peer.core = std::make_unique<dht::Kademlia>(config, peer.identity, random_.bytes<32>(), now_);
}

void SimNet::crash(PeerIndex index) {
  peers_[index].core.reset();
  ++peers_[index].generation;
}

void SimNet::restart(PeerIndex index) { start(index); }

void SimNet::set_group(PeerIndex index, int group) { peers_[index].group = group; }

dht::OperationId SimNet::bootstrap(PeerIndex index, const std::vector<PeerIndex>& at,
                                   dht::Duration timeout) {
  std::vector<proto::Endpoint> endpoints;
  for (const PeerIndex other : at) endpoints.push_back(endpoint(other));
  const dht::OperationId id = core(index).bootstrap(std::move(endpoints), timeout, now_);
  drain(index);
  return id;
}

dht::OperationId SimNet::find(PeerIndex index, const dht::Key& key) {
  const dht::OperationId id = core(index).find(key, now_);
  drain(index);
  return id;
}

dht::OperationId SimNet::publish(PeerIndex index, dht::Record record) {
  record.sequence = ++peers_[index].sequence;
  const dht::OperationId id =
      core(index).publish(dht::sign_record(peers_[index].identity, record),
                          dht::keys_of(core(index).swarm_id(), record), now_);
  drain(index);
  return id;
}

void SimNet::drain(PeerIndex index) {
  Peer& peer = peers_[index];
  while (const auto datagram = peer.core->poll_transmit()) transmit(index, *datagram);
  while (auto event = peer.core->poll_event()) peer.done[event->id] = *std::move(event);
  const auto next = peer.core->next_timeout();
  if (next && (!peer.timer || *next < *peer.timer)) {
    peer.timer = next;
    schedule(*next, Pending{index, std::nullopt, peer.generation, {}});
  }
}

// A pair's delay is a pure function of seed and pair, so that it does not depend on who spoke
// first.
dht::Duration SimNet::one_way(PeerIndex a, PeerIndex b) {
  dht::Random pair(seed_ * 1'000'003 + std::min(a, b) * 1'000'000'007 + std::max(a, b));
  const double u = 1.0 - pair.unit(), v = pair.unit();
  const double normal = std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  const double rtt_ms = links_.median_rtt_ms * std::exp(links_.sigma * normal);
  const double delay_ms = rtt_ms / 2 * (1 + links_.jitter * random_.unit());
  return dht::Duration(static_cast<std::int64_t>(delay_ms * 1e6));
}

void SimNet::transmit(PeerIndex from, const dht::Datagram& datagram) {
  ++peers_[from].sent;
  CHECK(datagram.bytes.size() <= 1200) << datagram.bytes.size();
  const auto& address = datagram.to.address;
  const PeerIndex to = static_cast<PeerIndex>(address[13]) << 16 |
                       static_cast<PeerIndex>(address[14]) << 8 | address[15];
  if (address[12] != 10 || to >= peers_.size() || datagram.to.port != kPort) return;
  const int copies = random_.unit() < links_.duplication ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    if (random_.unit() < links_.loss) continue;
    schedule(now_ + one_way(from, to), Pending{to, from, 0, datagram.bytes});
  }
}

void SimNet::schedule(dht::TimePoint when, Pending event) {
  queue_.emplace(std::pair(std::max(when, now_), next_event_++), std::move(event));
}

void SimNet::hash(std::uint64_t value) {
  for (int i = 0; i < 8; ++i)
    trace_hash_ = (trace_hash_ ^ (value >> (8 * i) & 0xff)) * 1099511628211u;
}

bool SimNet::step(dht::TimePoint until) {
  if (queue_.empty() || queue_.begin()->first.first > until) return false;
  auto node = queue_.extract(queue_.begin());
  Pending event = std::move(node.mapped());
  CHECK(node.key().first >= now_);
  now_ = node.key().first;
  Peer& peer = peers_[event.to];
  if (event.from) {
    if (!peer.core || peers_[*event.from].group != peer.group) return true;
    peer.core->handle_datagram(event.bytes, endpoint(*event.from), now_);
    if (capturing_) captured_.push_back({*event.from, event.to, event.bytes});
    std::uint64_t content = event.bytes.size();
    for (std::size_t i = 0; i < 8 && i < event.bytes.size(); ++i) {
      content = content << 8 ^ static_cast<std::uint8_t>(event.bytes[i]);
    }
    hash(content);
    hash(*event.from << 32 | event.to);
  } else {
    if (!peer.core || event.generation != peer.generation || peer.timer != now_) return true;
    peer.timer.reset();
    peer.core->handle_timeout(now_);
    hash(event.to);
  }
  hash(static_cast<std::uint64_t>(now_.time_since_epoch().count()));
  ++event_count_;
  drain(event.to);
  return true;
}

void SimNet::run_for(dht::Duration duration) {
  const dht::TimePoint until = now_ + duration;
  while (step(until)) {
  }
  now_ = until;
}

std::optional<dht::Event> SimNet::wait(PeerIndex index, dht::OperationId id, dht::Duration limit) {
  const dht::TimePoint until = now_ + limit;
  Peer& peer = peers_[index];
  while (!peer.done.contains(id)) {
    if (!step(until)) return std::nullopt;
  }
  auto node = peer.done.extract(id);
  return std::move(node.mapped());
}

void SimNet::inject(PeerIndex to, const std::string& bytes, const proto::Endpoint& from) {
  peers_[to].core->handle_datagram(bytes, from, now_);
  drain(to);
}

}  // namespace shoal::sim
