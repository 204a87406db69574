// SPDX-License-Identifier: Apache-2.0
#include "dht/bans.h"

#include <algorithm>

#include "dht/diversity.h"

namespace shoal::dht {

Bans::Name Bans::name_of(const proto::PeerId& peer) {
  Name name{};
  name[0] = 'p';
  std::copy(peer.bytes.begin(), peer.bytes.end(), name.begin() + 1);
  return name;
}

Bans::Name Bans::name_of(const proto::Endpoint& endpoint) {
  Name name{};
  // One user of IPv6 has a /64 for himself.
  const std::ptrdiff_t bytes = endpoint.is_v4() || is_exempt(endpoint) ? 16 : 8;
  name[0] = 'a';
  std::copy_n(endpoint.address.begin(), bytes, name.begin() + 1);
  if (is_exempt(endpoint)) {
    name[17] = static_cast<std::uint8_t>(endpoint.port >> 8);
    name[18] = static_cast<std::uint8_t>(endpoint.port);
  }
  return name;
}

void Bans::add(const Contact& offender, TimePoint now) {
  ++total_;
  if (!has(name_of(offender.peer), now)) add(name_of(offender.peer), now);
  if (!has(name_of(offender.endpoint), now)) add(name_of(offender.endpoint), now);
}

void Bans::add(const Name& name, TimePoint now) {
  std::erase_if(entries_,
                [&](const auto& entry) { return now > entry.second.until + config_.remember; });
  if (!entries_.contains(name) && entries_.size() >= config_.max_entries) {
    // The one that would be forgotten first.
    entries_.erase(std::min_element(
        entries_.begin(), entries_.end(),
        [](const auto& a, const auto& b) { return a.second.until < b.second.until; }));
  }
  Entry& entry = entries_[name];
  Duration length = config_.first;
  for (int i = 0; i < entry.times && length < config_.longest; ++i) length *= 2;
  ++entry.times;
  entry.until = now + std::min(length, config_.longest);
}

bool Bans::has(const Name& name, TimePoint now) const {
  const auto it = entries_.find(name);
  return it != entries_.end() && now < it->second.until;
}

bool Bans::has(const proto::PeerId& peer, TimePoint now) const {
  return !entries_.empty() && has(name_of(peer), now);
}

bool Bans::has(const proto::Endpoint& endpoint, TimePoint now) const {
  return !entries_.empty() && has(name_of(endpoint), now);
}

}  // namespace shoal::dht
