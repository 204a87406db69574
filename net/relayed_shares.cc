// SPDX-License-Identifier: Apache-2.0
#include "net/relayed_shares.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace shoal::net {
namespace {

// No connection comes from a multicast address.
constexpr std::uint8_t kNoAddress = 0xff;
// A node has two at a time; of former ones, those whose rate says something.
constexpr std::size_t kRelaysRemembered = 64;

}  // namespace

Refusal RelayedShares::arrive(const proto::PeerId& relay, Time now) {
  if (relays_.size() >= kRelaysRemembered && !relays_.contains(relay)) {
    std::erase_if(relays_, [&](const auto& entry) {
      TokenBucket arrivals = entry.second.arrivals;
      return entry.second.connections == 0 && arrivals.is_full(now);
    });
    if (relays_.size() >= kRelaysRemembered) return Refusal::kFull;
  }
  Share& share =
      relays_.try_emplace(relay, Share{0, 0, TokenBucket(limits_.arrivals, now)}).first->second;
  if (share.connections >= limits_.connections) return Refusal::kAddressFull;
  if (share.handshakes >= limits_.handshakes) return Refusal::kHandshakes;
  if (!share.arrivals.take(now)) return Refusal::kRate;
  ++share.connections;
  ++share.handshakes;
  return Refusal::kNone;
}

void RelayedShares::identified(const proto::PeerId& relay) { --relays_.at(relay).handshakes; }

void RelayedShares::depart(const proto::PeerId& relay, bool was_identified) {
  Share& share = relays_.at(relay);
  CHECK(share.connections > 0);
  --share.connections;
  if (!was_identified) --share.handshakes;
}

Network network_through(const proto::PeerId& relay, const proto::Endpoint& told) {
  Network result;
  result.bytes[0] = kNoAddress;
  std::copy_n(relay.bytes.begin(), 7, result.bytes.begin() + 1);
  const Network network = Network::of(told);
  std::copy_n(network.bytes.begin() + (told.is_v4() ? 8 : 0), 8, result.bytes.begin() + 8);
  return result;
}

}  // namespace shoal::net
