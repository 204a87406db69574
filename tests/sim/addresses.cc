// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/addresses.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace shoal::sim {
namespace {

constexpr std::uint16_t kPort = 7000;
// Networks of /16 in which peers live; of about 45,000 that are announced, BitTorrent's DHT is seen
// in a third.
constexpr std::uint64_t kNetworks16 = 14'000;
// Of ten peers one shares its /24 with another: large providers, campuses, data centres.
constexpr double kShared24 = 0.1;

bool is_public16(std::uint32_t network) {
  const std::uint32_t a = network >> 8, b = network & 0xff;
  if (a == 0 || a == 10 || a == 127 || a >= 224) return false;
  if (a == 100 && b >= 64 && b < 128) return false;  // carrier NAT
  if (a == 169 && b == 254) return false;
  if (a == 172 && b >= 16 && b < 32) return false;
  if (a == 192 && (b == 168 || b == 0)) return false;
  return !(a == 198 && (b == 18 || b == 19 || b == 51)) && !(a == 203 && b == 0);
}

}  // namespace

AddressPlan::AddressPlan(AddressKind kind, std::uint64_t seed) : kind_(kind), random_(mix(seed)) {}

std::uint32_t AddressPlan::draw_network16() {
  // Rank r of n with density 1/sqrt(r): the widest hundredth of the networks holds a tenth of the
  // peers.
  const double u = random_.unit();
  auto rank = static_cast<std::uint64_t>(u * u * static_cast<double>(kNetworks16));
  // A rank's network is a fixed hash of it; ranks that fall into reserved space move on.
  for (;; rank += kNetworks16) {
    const auto network = static_cast<std::uint32_t>(mix(rank) & 0xffff);
    if (is_public16(network)) return network;
  }
}

proto::Endpoint AddressPlan::next() {
  if (kind_ == AddressKind::kPrivate) {
    const std::uint32_t n = ++given_;
    CHECK(n < 1u << 24) << "10.0.0.0/8 is full";
    return proto::Endpoint::v4({10, static_cast<std::uint8_t>(n >> 16),
                                static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)},
                               kPort);
  }
  for (;;) {
    const bool shared = !networks_.empty() && random_.chance(kShared24);
    const std::uint32_t network =
        shared ? networks_[random_.below(networks_.size())]
               : draw_network16() << 8 | static_cast<std::uint32_t>(random_.below(256));
    const std::uint32_t address = network << 8 | static_cast<std::uint32_t>(1 + random_.below(254));
    if (reserved_.contains(network) || !addresses_.insert(address).second) continue;
    if (!shared) networks_.push_back(network);
    return host(network, static_cast<std::uint8_t>(address), kPort);
  }
}

std::uint32_t AddressPlan::reserve_network() {
  for (;;) {
    const std::uint32_t network =
        draw_network16() << 8 | static_cast<std::uint32_t>(random_.below(256));
    bool used = false;
    for (std::uint32_t host = 0; host < 256; ++host)
      used = used || addresses_.contains(network << 8 | host);
    if (!used && reserved_.insert(network).second) return network;
  }
}

proto::Endpoint AddressPlan::host(std::uint32_t network24, std::uint8_t host, std::uint16_t port) {
  return proto::Endpoint::v4(
      {static_cast<std::uint8_t>(network24 >> 16), static_cast<std::uint8_t>(network24 >> 8),
       static_cast<std::uint8_t>(network24), host},
      port);
}

AddressBook::AddressBook() : slots_(64) {}

std::uint64_t AddressBook::key_of(const proto::Endpoint& endpoint) {
  std::uint64_t key = endpoint.is_v4() ? 1 : 0;  // only IPv4 is simulated; others are nobody's
  for (int i = 12; i < 16; ++i) key = key << 8 | endpoint.address[static_cast<std::size_t>(i)];
  return key << 16 | endpoint.port;
}

std::size_t AddressBook::slot_of(std::uint64_t key) const {
  std::size_t at = mix(key) & (slots_.size() - 1);
  while (slots_[at].key != 0 && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void AddressBook::set(const proto::Endpoint& endpoint, PeerIndex peer) {
  CHECK(endpoint.is_v4());
  if (2 * used_ >= slots_.size()) grow();
  const std::uint64_t key = key_of(endpoint);
  Slot& slot = slots_[slot_of(key)];
  if (slot.key == 0) ++used_;
  slot = {key, peer};
}

void AddressBook::erase(const proto::Endpoint& endpoint) {
  Slot& slot = slots_[slot_of(key_of(endpoint))];
  slot.peer = kNobody;  // the slot stays taken: probing must go on over it
}

PeerIndex AddressBook::find(const proto::Endpoint& endpoint) const {
  return slots_[slot_of(key_of(endpoint))].peer;
}

void AddressBook::grow() {
  std::vector<Slot> old = std::move(slots_);
  // Peers that move leave slots without a peer: those are not carried over.
  const auto live = static_cast<std::size_t>(
      std::count_if(old.begin(), old.end(), [](const Slot& slot) { return slot.peer != kNobody; }));
  slots_.assign(std::bit_ceil(4 * live + 64), Slot{});
  used_ = 0;
  for (const Slot& slot : old) {
    if (slot.peer == kNobody) continue;
    slots_[slot_of(slot.key)] = slot;
    ++used_;
  }
}

}  // namespace shoal::sim
