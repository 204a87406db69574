// SPDX-License-Identifier: Apache-2.0
#include "node/serve/next_hop_book.h"

#include <algorithm>

#include "dht/diversity.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

// All clients together. A node of a large swarm has some tens of neighbours.
constexpr dht::RateLimit kAllDials{4, 128};
constexpr dht::RateLimit kAllLookups{4, 64};
// Sessions that are opened together share one dial.
constexpr auto kSameDial = milliseconds(proto::kNextHopAnswerMs);
// A peer that the last look-up did not know may have come since.
constexpr auto kMissAge = milliseconds(1'000);
// Addresses of one peer that are dialled: IPv4 and IPv6, of two interfaces.
constexpr std::size_t kMaxAddresses = 4;

bool is_link_local(const proto::Endpoint& address) {
  if (address.is_v4()) return address.address[12] == 169 && address.address[13] == 254;
  return address.address[0] == 0xfe && (address.address[1] & 0xc0) == 0x80;
}

bool nobody_is_there(const proto::Endpoint& address) {
  if (address.port == 0 || address.is_unspecified()) return true;
  if (address.is_v4()) return address.address[12] == 0 || address.address[12] >= 224;
  return address.address[0] == 0xff;
}

std::uint64_t key_of(const proto::PeerId& peer) {
  std::uint64_t key = 0;
  for (std::size_t i = 0; i < sizeof(key); ++i) key = key << 8 | peer.bytes[i];
  return key;
}

}  // namespace

DialReach dial_reach(std::span<const proto::Endpoint> announced, bool keyed_swarm) {
  bool loopback = false;
  bool near = false;
  bool far = false;
  for (const proto::Endpoint& address : announced) {
    if (address.is_loopback()) {
      loopback = true;
    } else if (dht::is_exempt(address)) {
      near = true;
    } else {
      far = true;
    }
  }
  // Who announces loopback alone is reached from this machine alone.
  return {.loopback = loopback && !far,
          .private_networks = keyed_swarm || (!far && (near || loopback))};
}

bool may_dial(const DialReach& reach, const proto::Address& at) {
  const proto::Endpoint& address = at.endpoint;
  if (nobody_is_there(address) || is_link_local(address)) return false;
  if (address.is_loopback()) return reach.loopback;
  if (dht::is_exempt(address)) return reach.private_networks;
  return true;
}

bool NextHopBook::knows(const Question& question, TimePoint now) const {
  const auto found = blocks_.find(question.block);
  return found != blocks_.end() && found->second.peers.contains(question.next) &&
         now - found->second.read_at <= dht::Duration(milliseconds(proto::kNextHopCacheMs));
}

bool NextHopBook::must_look_up(const Question& question, TimePoint now) {
  const auto found = blocks_.find(question.block);
  if (found == blocks_.end()) return true;
  const auto age = now - found->second.read_at;
  return age > (found->second.peers.contains(question.next)
                    ? dht::Duration(milliseconds(proto::kNextHopRefreshMs))
                    : dht::Duration(kMissAge));
}

bool NextHopBook::read_since(proto::BlockIndex block, TimePoint time) const {
  const auto found = blocks_.find(block);
  return found != blocks_.end() && found->second.read_at >= time;
}

bool NextHopBook::may_look_up(TimePoint now) {
  static const dht::Rate rate(kAllLookups);
  return rate.take(lookups_full_at_, 1, 0, now);
}

void NextHopBook::learned(proto::BlockIndex block, std::vector<dht::Record> records,
                          TimePoint now) {
  Block& known = blocks_[block];
  known.read_at = now;
  known.peers.clear();
  for (dht::Record& record : records) {
    if (!record.offer.span.contains(block) || record.load.state == proto::NodeState::kOffline)
      continue;
    if (known.peers.size() >= kMaxKnown) break;
    known.peers[record.peer_id()] = std::move(record.addresses);
  }
}

std::vector<proto::Address> NextHopBook::addresses(const Question& question, const DialReach& reach,
                                                   TimePoint now) {
  const auto block = blocks_.find(question.block);
  if (block == blocks_.end()) return {};
  const auto peer = block->second.peers.find(question.next);
  if (peer == block->second.peers.end()) return {};
  std::vector<proto::Address> result;
  for (const proto::Address& address : peer->second) {
    if (result.size() >= kMaxAddresses) break;
    if (reach.own_relay && address.relay == reach.own_relay->relay) {
      result.push_back(*reach.own_relay);
    } else if (may_dial(reach, address)) {
      result.push_back(address);
    }
  }
  if (result.empty() || proven(question.next, result)) return result;
  if (!take_dial(question, result, now)) return {};
  return result;
}

bool NextHopBook::take_dial(const Question& question, const std::vector<proto::Address>& addresses,
                            TimePoint now) {
  const auto last = dialled_.find(question.next);
  if (last != dialled_.end() && now - last->second.at < kSameDial &&
      last->second.addresses == addresses) {
    return true;
  }
  static const dht::Rate all(kAllDials);
  if (!clients_.take(key_of(question.client), now)) return false;
  // Everybody of a LAN, or of one machine, is no more than a LAN: there the client's own limit and
  // that of all hold.
  if (!dht::is_exempt(question.caller) &&
      !networks_.take(dht::narrow_network(question.caller), now)) {
    return false;
  }
  if (!all.take(dials_full_at_, 1, 0, now)) return false;
  if (dialled_.size() >= kMaxKnown) {
    std::erase_if(dialled_, [&](const auto& entry) { return now - entry.second.at >= kSameDial; });
    if (dialled_.size() >= kMaxKnown) dialled_.clear();
  }
  dialled_[question.next] = {addresses, now};
  return true;
}

void NextHopBook::worked(const proto::PeerId& peer, const proto::Address& address) {
  if (proven_.size() >= kMaxKnown && !proven_.contains(peer)) proven_.erase(proven_.begin());
  std::set<proto::Address>& known = proven_[peer];
  if (known.size() >= 2 * kMaxAddresses) known.clear();  // a peer that moves about
  known.insert(address);
}

bool NextHopBook::proven(const proto::PeerId& peer,
                         std::span<const proto::Address> addresses) const {
  const auto known = proven_.find(peer);
  if (known == proven_.end() || addresses.empty()) return false;
  return std::all_of(addresses.begin(), addresses.end(), [&](const proto::Address& address) {
    return known->second.contains(address);
  });
}

void NextHopBook::failed(const Question& question) {
  const auto block = blocks_.find(question.block);
  if (block != blocks_.end()) block->second.peers.erase(question.next);
}

}  // namespace shoal::node
