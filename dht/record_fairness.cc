// SPDX-License-Identifier: Apache-2.0
// Whose record gives way when the store, a model or a network's share is full.
#include <algorithm>

#include "dht/diversity.h"
#include "dht/record_store.h"

namespace shoal::dht {
namespace {

constexpr std::uint64_t kOwner = 1, kExempt = 2;

}  // namespace

// The /24 (IPv6 /48), or in private ranges the address.
std::uint64_t RecordStore::source_of(const proto::Endpoint& sender, bool owner) {
  if (sender == proto::Endpoint{}) return 0;
  std::uint64_t network = narrow_network(sender);
  if (is_exempt(sender)) {
    network = 0;
    for (std::size_t i = 8; i < 16; ++i) network = network << 7 ^ sender.address[i];
  }
  return network << 2 | (is_exempt(sender) ? kExempt : 0) | (owner ? kOwner : 0);
}

std::size_t RecordStore::count_of(std::uint64_t source) const {
  const auto it = sources_.find(source);
  return it == sources_.end() ? 0 : it->second;
}

void RecordStore::count(std::uint64_t source, int change) {
  const std::size_t old = count_of(source);
  const std::size_t now = change > 0 ? old + 1 : old - 1;
  ranking_.erase({old, source});
  if (now == 0) {
    sources_.erase(source);
  } else {
    sources_[source] = now;
    ranking_.insert({now, source});
  }
}

void RecordStore::give_way(const proto::PeerId& subject, TimePoint now) {
  remember(entries_.at(subject), now);
  remove(subject);
}

bool RecordStore::make_room(std::uint64_t source, TimePoint now) {
  if (source == 0) return true;  // our own
  const std::size_t share =
      (source & kOwner) != 0 ? config_.max_per_network : config_.max_handed_over;
  if (config_.limit_networks && (source & kExempt) == 0 && count_of(source) >= share) return false;
  if (entries_.size() < config_.max_records) return true;
  if (ranking_.empty()) return false;
  const auto [most, crowd] = *ranking_.rbegin();
  if (most <= count_of(source) + 1) return false;
  const auto victim = by_source_.lower_bound({crowd, TimePoint::min(), proto::PeerId{}});
  give_way(std::get<proto::PeerId>(*victim), now);
  return true;
}

bool RecordStore::make_room_in_model(std::uint64_t source, const proto::Digest& digest,
                                     TimePoint now) {
  const auto model = models_.find(digest);
  if (source == 0 || model == models_.end() ||
      model->second.subjects.size() < config_.max_per_model) {
    return true;
  }
  std::map<std::uint64_t, std::pair<std::size_t, const Entry*>> shares;  // and the first to expire
  for (const proto::PeerId& subject : model->second.subjects) {
    const Entry& entry = entries_.at(subject);
    if (entry.source == 0) continue;
    auto& [count, first] = shares[entry.source];
    ++count;
    if (first == nullptr || entry.expires < first->expires) first = &entry;
  }
  const std::size_t own = shares[source].first;
  const auto crowd = std::max_element(
      shares.begin(), shares.end(),
      [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
  if (crowd->second.first <= own + 1) return false;
  give_way(proto::PeerId(crowd->second.second->subject), now);
  return true;
}

}  // namespace shoal::dht
