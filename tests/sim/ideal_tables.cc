// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/ideal_tables.h"

#include <algorithm>

#include "tests/sim/sorted_contacts.h"

namespace shoal::sim {
namespace {

// `count` different members of `range`, all when it has no more (Floyd's algorithm).
void sample(std::span<const dht::Contact> range, std::size_t count, FastRandom& random,
            std::vector<dht::Contact>& out) {
  if (range.size() <= count) {
    out.insert(out.end(), range.begin(), range.end());
    return;
  }
  std::vector<std::size_t> chosen;
  for (std::size_t j = range.size() - count; j < range.size(); ++j) {
    std::size_t pick = random.below(j + 1);
    if (std::find(chosen.begin(), chosen.end(), pick) != chosen.end()) pick = j;
    chosen.push_back(pick);
  }
  for (const std::size_t index : chosen) out.push_back(range[index]);
}

}  // namespace

std::size_t bucket_capacity(std::size_t prefix, std::size_t k) {
  constexpr std::size_t kWidest = 128;  // docs/protocol-dht.md: 128/64/32/20, then 20
  return prefix >= 8 ? k : std::max(k, kWidest >> prefix);
}

void fill_ideal_tables(Swarm& swarm, const std::vector<PeerIndex>& peers) {
  const std::size_t k = dht::RoutingConfig{}.k;
  std::vector<dht::Contact> everybody;
  everybody.reserve(peers.size());
  for (const PeerIndex peer : peers) everybody.push_back(swarm.contact(peer));
  const SortedContacts sorted(std::move(everybody));
  std::vector<dht::Contact> contacts;
  for (const PeerIndex peer : peers) {
    if (!swarm.is_honest(peer)) continue;
    const proto::PeerId& self = swarm.identity(peer).peer_id();
    contacts.clear();
    // The range of ids that share `bit` bits with ours splits at the next bit: the half without us
    // is a bucket, the other the next range.
    std::span<const dht::Contact> range = sorted.all();
    for (std::size_t bit = 0; range.size() > 1; ++bit) {
      const auto [zeros, ones] = SortedContacts::split(range, bit);
      const bool one = bit_of(self.bytes, bit);
      sample(one ? zeros : ones, bucket_capacity(bit, k), swarm.random(), contacts);
      range = one ? ones : zeros;
    }
    swarm.restore(peer, contacts, true);
  }
}

}  // namespace shoal::sim
