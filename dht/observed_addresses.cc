// SPDX-License-Identifier: Apache-2.0
#include "dht/observed_addresses.h"

#include <algorithm>
#include <set>

#include "dht/diversity.h"

namespace shoal::dht {
namespace {

// Votes about addresses of one kind compete: a network at home does not outvote the Internet.
int kind(const proto::Endpoint& us) { return (us.is_v4() ? 0 : 2) + (is_exempt(us) ? 1 : 0); }

}  // namespace

void ObservedAddresses::add(const proto::PeerId& voter, const proto::Endpoint& voter_at,
                            const proto::Endpoint& us, TimePoint now) {
  // Whoever sees us by loopback is ourselves, as far as others are concerned.
  if (!us.is_usable() || us.is_loopback() || voter_at.is_loopback()) return;
  std::uint64_t id = 0;
  for (std::size_t i = 0; i < sizeof(id); ++i) id = id << 8 | voter.bytes[i];
  std::erase_if(votes_, [&](const Vote& vote) {
    return now - vote.at > kAge || (vote.voter == id && kind(vote.us) == kind(us));
  });
  if (votes_.size() >= kMaxVotes) votes_.erase(votes_.begin());
  votes_.push_back({id, wide_network(voter_at), us, now});
}

std::vector<ObservedAddress> ObservedAddresses::seen(TimePoint now) const {
  std::vector<ObservedAddress> result;
  for (int group = 0; group < 4; ++group) {
    std::size_t all = 0;
    std::vector<std::pair<proto::Endpoint, std::set<std::uint64_t>>> said;
    std::vector<std::size_t> counts;
    for (const Vote& vote : votes_) {
      if (kind(vote.us) != group || now - vote.at > kAge) continue;
      ++all;
      auto it = std::find_if(said.begin(), said.end(),
                             [&](const auto& entry) { return entry.first == vote.us; });
      if (it == said.end()) {
        it = said.insert(said.end(), {vote.us, {}});
        counts.push_back(0);
      }
      it->second.insert(vote.network);
      ++counts[static_cast<std::size_t>(it - said.begin())];
    }
    for (std::size_t i = 0; i < said.size(); ++i) {
      if (2 * counts[i] > all) result.push_back({said[i].first, counts[i], said[i].second.size()});
    }
  }
  std::stable_sort(
      result.begin(), result.end(),
      [](const ObservedAddress& a, const ObservedAddress& b) { return a.peers > b.peers; });
  return result;
}

ObservedPorts ObservedAddresses::ports(bool v4, TimePoint now) const {
  ObservedPorts result;
  std::set<proto::Endpoint> endpoints;
  for (const Vote& vote : votes_) {
    if (vote.us.is_v4() != v4 || now - vote.at > kAge) continue;
    ++result.peers;
    endpoints.insert(vote.us);
  }
  result.endpoints = endpoints.size();
  return result;
}

}  // namespace shoal::dht
