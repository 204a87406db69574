// SPDX-License-Identifier: Apache-2.0
#include "dht/routing_table.h"

#include <algorithm>
#include <cmath>

namespace shoal::dht {

RoutingTable::RoutingTable(const proto::PeerId& self, const RoutingConfig& config, Random& random)
    : self_(key_of(self)), config_(config), random_(random.bytes<32>()) {}

std::size_t RoutingTable::capacity(int bucket) const {
  constexpr std::size_t kWidest = 128;
  return bucket >= 8 ? config_.k : std::max(config_.k, kWidest >> bucket);
}

RoutingTable::Entry* RoutingTable::mutable_find(const proto::PeerId& peer) {
  const auto bucket = buckets_.find(common_prefix(self_, key_of(peer)));
  if (bucket == buckets_.end()) return nullptr;
  for (Entry& entry : bucket->second.live) {
    if (entry.contact.peer == peer) return &entry;
  }
  return nullptr;
}

const RoutingTable::Entry* RoutingTable::find(const proto::PeerId& peer) const {
  return const_cast<RoutingTable*>(this)->mutable_find(peer);
}

void RoutingTable::schedule_at(Entry& entry, TimePoint when) {
  checks_.erase({entry.next_check, entry.contact.peer});
  entry.next_check = when;
  checks_.insert({entry.next_check, entry.contact.peer});
}

void RoutingTable::schedule(Entry& entry, TimePoint now) {
  const Duration base = !entry.verified || entry.failures > 0 ? config_.check_unverified
                        : size() <= config_.k                 ? config_.check_small
                                                              : config_.check_verified;
  // 20 % of jitter either way: peers that joined together must not check together.
  const auto jittered =
      static_cast<std::int64_t>(static_cast<double>(base.count()) * (0.8 + 0.4 * random_.unit()));
  schedule_at(entry, now + Duration(jittered));
}

void RoutingTable::insert(Bucket& bucket, const Contact& contact, bool answered, TimePoint now) {
  Entry entry;
  entry.contact = contact;
  entry.verified = answered;
  schedule(entry, now);
  bucket.live.push_back(entry);
  std::erase_if(bucket.replacements,
                [&](const Contact& other) { return other.peer == contact.peer; });
}

void RoutingTable::heard(const Contact& contact, bool answered, TimePoint now) {
  const int index = common_prefix(self_, key_of(contact.peer));
  if (index == 256) return;  // ourselves
  if (Entry* entry = mutable_find(contact.peer)) {
    entry->contact.endpoint = contact.endpoint;  // proven by its session
    entry->failures = 0;
    entry->suspect = false;
    entry->verified = entry->verified || answered;
    schedule(*entry, now);
    return;
  }
  Bucket& bucket = buckets_[index];
  if (bucket.live.size() < capacity(index)) return insert(bucket, contact, answered, now);
  const auto worst =
      std::max_element(bucket.live.begin(), bucket.live.end(),
                       [](const Entry& a, const Entry& b) { return a.failures < b.failures; });
  if (worst->failures > 0) {
    checks_.erase({worst->next_check, worst->contact.peer});
    bucket.live.erase(worst);
    return insert(bucket, contact, answered, now);
  }
  std::erase_if(bucket.replacements,
                [&](const Contact& other) { return other.peer == contact.peer; });
  if (bucket.replacements.size() >= config_.max_replacements)
    bucket.replacements.erase(bucket.replacements.begin());
  bucket.replacements.push_back(contact);
}

void RoutingTable::overdue(const proto::PeerId& peer) {
  if (Entry* entry = mutable_find(peer)) entry->suspect = true;
}

void RoutingTable::failed(const proto::PeerId& peer, TimePoint now) {
  Entry* entry = mutable_find(peer);
  if (entry == nullptr) return;
  entry->suspect = true;
  entry->verified = false;
  if (++entry->failures < config_.max_failures) return schedule_at(*entry, now + seconds(1));
  const auto it = buckets_.find(common_prefix(self_, key_of(peer)));
  Bucket& bucket = it->second;
  checks_.erase({entry->next_check, peer});
  std::erase_if(bucket.live, [&](const Entry& other) { return other.contact.peer == peer; });
  if (!bucket.replacements.empty()) {
    const Contact next = bucket.replacements.back();
    insert(bucket, next, false, now);
    schedule_at(bucket.live.back(), now);  // it has waited long: check it at once
  }
  if (bucket.live.empty()) buckets_.erase(it);
}

void RoutingTable::checking(const proto::PeerId& peer, TimePoint now) {
  if (Entry* entry = mutable_find(peer)) schedule_at(*entry, now + config_.check_unverified);
}

void RoutingTable::greeted(const proto::PeerId& peer, bool value) {
  if (Entry* entry = mutable_find(peer)) entry->greeted = value;
}

std::vector<RoutingTable::Entry> RoutingTable::closest(const Key& target, std::size_t count) const {
  std::vector<std::pair<Key, const Entry*>> all;
  all.reserve(size());
  for (const auto& [index, bucket] : buckets_) {
    for (const Entry& entry : bucket.live)
      all.emplace_back(distance(target, key_of(entry.contact.peer)), &entry);
  }
  const std::size_t n = std::min(count, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(n), all.end(),
                    [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Entry> result;
  result.reserve(n);
  for (std::size_t i = 0; i < n; ++i) result.push_back(*all[i].second);
  return result;
}

std::size_t RoutingTable::count_closer(const Key& target, const Key& than,
                                       const proto::PeerId& except, std::size_t limit) const {
  std::size_t count = 0;
  for (const auto& [index, bucket] : buckets_) {
    for (const Entry& entry : bucket.live) {
      if (entry.contact.peer != except && closer(target, key_of(entry.contact.peer), than) &&
          ++count >= limit) {
        return count;
      }
    }
  }
  return count;
}

std::vector<Contact> RoutingTable::due(TimePoint now) const {
  std::vector<Contact> result;
  for (const auto& [when, peer] : checks_) {
    if (when > now) break;
    if (const Entry* entry = find(peer)) result.push_back(entry->contact);
  }
  return result;
}

std::optional<TimePoint> RoutingTable::next_check() const {
  if (checks_.empty()) return std::nullopt;
  return checks_.begin()->first;
}

std::size_t RoutingTable::verified() const {
  std::size_t count = 0;
  for (const auto& [index, bucket] : buckets_) {
    count += static_cast<std::size_t>(std::count_if(
        bucket.live.begin(), bucket.live.end(), [](const Entry& entry) { return entry.verified; }));
  }
  return count;
}

double RoutingTable::estimated_peers() const {
  const double known = static_cast<double>(size()) + 1;
  if (size() <= config_.k) return known;
  // The i-th closest of N uniform ids lies at i/N of the key space: least squares over the k
  // closest.
  const std::vector<Entry> near = closest(self_, config_.k);
  double numerator = 0, denominator = 0;
  for (std::size_t i = 0; i < near.size(); ++i) {
    const Key d = distance(self_, key_of(near[i].contact.peer));
    double fraction = 0;
    for (std::size_t byte = 8; byte-- > 0;) fraction = (fraction + d.bytes[byte]) / 256;
    const double rank = static_cast<double>(i) + 1;
    numerator += rank * rank;
    denominator += rank * fraction;
  }
  return denominator > 0 ? std::max(known, numerator / denominator) : known;
}

}  // namespace shoal::dht
