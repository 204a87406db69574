// SPDX-License-Identifier: Apache-2.0
#include "dht/routing_table.h"

#include <algorithm>
#include <utility>

#include "dht/diversity.h"

namespace shoal::dht {
namespace {

constexpr std::size_t kWidestBucket = 128;
// When so many contacts in a row are silent, it is rather our own network that is gone.
constexpr int kDoubtSelf = 6;

std::uint64_t middle_of(const proto::PeerId& peer) { return peer.word(16); }

bool bit(const Key& key, std::size_t index) {
  return (key.bytes[index / 8] >> (7 - index % 8) & 1) != 0;
}

}  // namespace

RoutingTable::RoutingTable(const proto::PeerId& self, const RoutingConfig& config,
                           identity::Random& random)
    : self_(key_of(self)), config_(config), jitter_(random.next()) {}

std::size_t RoutingTable::capacity(std::size_t bucket) const {
  return bucket >= 8 ? config_.k : std::max(config_.k, kWidestBucket >> bucket);
}

RoutingTable::Place RoutingTable::place_of(const proto::PeerId& peer) {
  const auto index = static_cast<std::size_t>(common_prefix(self_, key_of(peer)));
  if (index >= buckets_.size()) return {};
  Bucket& bucket = buckets_[index];
  // The middle bytes differ between any two, and whole ids are compared once only.
  const std::uint64_t middle = middle_of(peer);
  for (Entry& entry : bucket.live) {
    if (middle_of(entry.contact.peer) == middle && entry.contact.peer.bytes == peer.bytes)
      return {&bucket, &entry};
  }
  return {&bucket, nullptr};
}

const RoutingTable::Entry* RoutingTable::find(const proto::PeerId& peer) const {
  return const_cast<RoutingTable*>(this)->place_of(peer).entry;
}

bool RoutingTable::is_diverse(const Bucket& bucket, const proto::Endpoint& endpoint) const {
  if (!config_.diversity.enabled || is_exempt(endpoint)) return true;
  const SameNarrowNetwork same(endpoint);
  const auto count = [&](const Bucket& in) {
    return static_cast<std::size_t>(
        std::count_if(in.live.begin(), in.live.end(),
                      [&](const Entry& entry) { return same(entry.contact.endpoint); }));
  };
  if (count(bucket) >= config_.diversity.in_bucket) return false;
  std::size_t all = 0;
  for (const Bucket& other : buckets_) all += count(other);
  return all < config_.diversity.in_table;
}

bool RoutingTable::has_room(std::size_t index, const proto::Endpoint& endpoint) {
  if (buckets_.size() <= index) buckets_.resize(index + 1);
  return buckets_[index].live.size() < capacity(index) && is_diverse(buckets_[index], endpoint);
}

RoutingTable::Entry& RoutingTable::insert(std::size_t index, const Contact& contact,
                                          TimePoint now) {
  Bucket& bucket = buckets_[index];
  std::erase_if(bucket.replacements,
                [&](const Contact& other) { return other.peer == contact.peer; });
  const std::size_t size = bucket.live.size();
  if (size == bucket.live.capacity()) {
    // By half, and not beyond what the bucket may hold: doubling would waste a third of it all.
    bucket.live.reserve(std::min(capacity(index), std::max<std::size_t>(4, size + size / 2)));
  }
  Entry& entry = bucket.live.emplace_back(Entry{contact});
  ++size_;
  schedule(entry, Duration(0), now);
  return entry;
}

bool RoutingTable::replace(Bucket& bucket, Entry& entry, const Contact& contact, TimePoint now) {
  // The old one does not stand in the way of the new.
  const proto::Endpoint old = std::exchange(entry.contact.endpoint, {});
  if (!is_diverse(bucket, contact.endpoint)) {
    entry.contact.endpoint = old;
    return false;
  }
  std::erase_if(bucket.replacements,
                [&](const Contact& other) { return other.peer == contact.peer; });
  mark(entry, false);
  entry = Entry{contact};
  schedule(entry, Duration(0), now);
  return true;
}

void RoutingTable::vacate(Bucket& bucket, Entry& entry, TimePoint now) {
  mark(entry, false);
  std::swap(entry, bucket.live.back());
  bucket.live.pop_back();
  --size_;
  const auto index = static_cast<std::size_t>(&bucket - buckets_.data());
  while (!bucket.replacements.empty()) {
    const Contact next = bucket.replacements.back();
    bucket.replacements.pop_back();
    if (!has_room(index, next.endpoint)) continue;
    insert(index, next, now);  // to be checked at once
    break;
  }
  trim();
}

void RoutingTable::trim() {
  while (!buckets_.empty() && buckets_.back().live.empty()) buckets_.pop_back();
}

void RoutingTable::keep_replacement(Bucket& bucket, const Contact& contact, bool proven) {
  std::vector<Contact>& cache = bucket.replacements;
  const auto same = [&](const Contact& other) { return other.peer == contact.peer; };
  if (!proven) {
    // Hearsay comes after everybody who has spoken to us, pushes nobody out, and fills half at
    // most.
    if (cache.size() >= config_.max_replacements / 2 ||
        std::any_of(cache.begin(), cache.end(), same))
      return;
    cache.reserve(config_.max_replacements / 2);
    cache.insert(cache.begin(), contact);
    return;
  }
  if (std::erase_if(cache, same) == 0 && cache.size() >= config_.max_replacements)
    cache.erase(cache.begin());
  if (cache.size() == cache.capacity())
    cache.reserve(std::min(config_.max_replacements, 2 * cache.size() + 1));
  cache.push_back(contact);
}

void RoutingTable::mark(Entry& entry, bool verified) {
  if (entry.verified && !verified) --verified_;
  if (!entry.verified && verified) ++verified_;
  entry.verified = verified;
}

void RoutingTable::heard(const Contact& contact, bool answered, TimePoint now) {
  if (contact.peer.bytes == self_.bytes) return;
  Place place = place_of(contact.peer);
  if (place.entry != nullptr && place.entry->contact.endpoint != contact.endpoint) {
    // It moved; if there are enough of where it is now, it leaves.
    place.entry->contact.endpoint = {};
    if (!is_diverse(*place.bucket, contact.endpoint))
      return vacate(*place.bucket, *place.entry, now);
    place.entry->contact.endpoint = contact.endpoint;
  }
  if (place.entry == nullptr) {
    const auto index = static_cast<std::size_t>(common_prefix(self_, key_of(contact.peer)));
    if (place.bucket != nullptr && place.bucket->live.size() >= capacity(index)) {
      std::vector<Entry>& live = place.bucket->live;
      const auto worst =
          std::max_element(live.begin(), live.end(),
                           [](const Entry& a, const Entry& b) { return a.failures < b.failures; });
      if (worst->failures == 0) return keep_replacement(*place.bucket, contact, true);
      if (!replace(*place.bucket, *worst, contact, now)) return;
      place.entry = &*worst;
    } else {
      if (!has_room(index, contact.endpoint)) return trim();
      place.entry = &insert(index, contact, now);
    }
  }
  Entry& entry = *place.entry;
  if (contact.key != identity::PublicKey{}) entry.contact.key = contact.key;
  entry.failures = 0;
  entry.suspect = false;
  entry.proven = true;
  if (answered) {
    mark(entry, true);
    silences_ = 0;
  }
  if (entry.verified)
    schedule(entry, jittered(small() ? config_.check_small : config_.check_verified), now);
}

void RoutingTable::learned(const Contact& contact, TimePoint now) {
  if (contact.peer.bytes == self_.bytes) return;
  const Place place = place_of(contact.peer);
  if (place.entry != nullptr) {
    // A key proves itself by its hash; an address is believed from its owner only.
    if (place.entry->contact.key == identity::PublicKey{}) place.entry->contact.key = contact.key;
    return;
  }
  const auto index = static_cast<std::size_t>(common_prefix(self_, key_of(contact.peer)));
  if (place.bucket != nullptr && place.bucket->live.size() >= capacity(index))
    return keep_replacement(*place.bucket, contact, false);
  if (has_room(index, contact.endpoint)) insert(index, contact, now);
  trim();
}

void RoutingTable::overdue(const proto::PeerId& peer) {
  if (Entry* entry = place_of(peer).entry) entry->suspect = true;
}

void RoutingTable::failed(const proto::PeerId& peer, bool asked_again, TimePoint now) {
  if (asked_again) ++silences_;
  const auto [bucket, entry] = place_of(peer);
  if (entry == nullptr) return;
  entry->suspect = true;
  mark(*entry, false);
  ++entry->failures;
  const bool dispensable =
      asked_again && size_ > config_.dispensable_from && silences_ < kDoubtSelf;
  if (entry->failures >= config_.max_failures || !entry->proven || dispensable)
    return vacate(*bucket, *entry, now);
  schedule(*entry, config_.check_failed, now);
}

void RoutingTable::greeted(const proto::PeerId& peer, bool value) {
  if (Entry* entry = place_of(peer).entry) entry->greeted = value;
}

void RoutingTable::remove(const proto::PeerId& peer, TimePoint now) {
  const auto [bucket, entry] = place_of(peer);
  if (entry != nullptr) vacate(*bucket, *entry, now);
}

bool RoutingTable::is_tellable(const Entry& entry) const {
  return !entry.suspect && entry.failures == 0 && (entry.verified || (entry.proven && small()));
}

template <typename F>
void RoutingTable::visit_buckets(const Key& target, F&& visit) const {
  // Where our id and the target differ in bit i, bucket i shares that bit with the target: it is
  // closer than all deeper buckets together. Where they agree, it is farther than all of them.
  const Key difference = distance(self_, target);
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (bit(difference, i) && !buckets_[i].live.empty() && !visit(buckets_[i])) return;
  }
  for (std::size_t i = buckets_.size(); i-- > 0;) {
    if (!bit(difference, i) && !buckets_[i].live.empty() && !visit(buckets_[i])) return;
  }
}

std::vector<const RoutingTable::Entry*> RoutingTable::closest(const Key& target, std::size_t count,
                                                              Which which) const {
  struct Item {
    std::uint64_t head;  // first 64 bits of the distance: they decide nearly always
    const Entry* entry;
  };
  std::vector<Item> items;
  std::vector<const Entry*> result;
  if (count == 0) return result;
  result.reserve(std::min(count, size_));
  visit_buckets(target, [&](const Bucket& bucket) {
    items.clear();
    items.reserve(bucket.live.size());
    for (const Entry& entry : bucket.live) {
      if (which == Which::kAll || is_tellable(entry))
        items.push_back({target.word(0) ^ entry.contact.peer.word(0), &entry});
    }
    const auto before = [&](const Item& a, const Item& b) {
      if (a.head != b.head) return a.head < b.head;
      return closer(target, key_of(a.entry->contact.peer), key_of(b.entry->contact.peer));
    };
    const auto wanted = static_cast<std::ptrdiff_t>(std::min(items.size(), count - result.size()));
    const auto middle = items.begin() + wanted;
    if (middle != items.end()) std::nth_element(items.begin(), middle, items.end(), before);
    std::sort(items.begin(), middle, before);
    for (auto it = items.begin(); it != middle; ++it) result.push_back(it->entry);
    return result.size() < count;
  });
  return result;
}

std::size_t RoutingTable::count_closer(const Key& target, const Key& than,
                                       const proto::PeerId& except, std::size_t limit) const {
  std::size_t count = 0;
  visit_buckets(target, [&](const Bucket& bucket) {
    bool all = true;
    for (const Entry& entry : bucket.live) {
      if (!closer(target, key_of(entry.contact.peer), than)) {
        all = false;
      } else if (entry.contact.peer.bytes != except.bytes && ++count >= limit) {
        return false;
      }
    }
    return all;  // else all further buckets are farther
  });
  return count;
}

double RoutingTable::estimated_peers() const {
  const double known = static_cast<double>(size()) + 1;
  if (small()) return known;
  // The i-th closest of N uniform ids lies at i/N of the key space: least squares over the k
  // closest. Few of one network count: whoever crowds our neighbourhood makes the swarm no larger.
  double numerator = 0, denominator = 0, rank = 0;
  NearLimit limit(config_.diversity);
  for (const Entry* entry : closest(self_, 3 * config_.k)) {
    if (rank >= static_cast<double>(config_.k)) break;
    if (!limit.admit(entry->contact.endpoint)) continue;
    const Key d = distance(self_, key_of(entry->contact.peer));
    double fraction = 0;
    for (std::size_t byte = 8; byte-- > 0;) fraction = (fraction + d.bytes[byte]) / 256;
    rank += 1;
    numerator += rank * rank;
    denominator += rank * fraction;
  }
  return denominator > 0 ? std::max(known, numerator / denominator) : known;
}

std::size_t RoutingTable::memory_bytes() const {
  std::size_t bytes = sizeof(*this) + buckets_.capacity() * sizeof(Bucket);
  for (const Bucket& bucket : buckets_) {
    bytes += bucket.live.capacity() * sizeof(Entry);
    bytes += bucket.replacements.capacity() * sizeof(Contact);
  }
  return bytes;
}

}  // namespace shoal::dht
