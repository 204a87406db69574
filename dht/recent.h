// SPDX-License-Identifier: Apache-2.0
// Two bounded memories that forget the oldest first: a set of fingerprints, and a map that forgets
// in halves (what is used stays). Value classes; one thread at a time. Nothing depends on the order
// of their hashes, so runs repeat.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "dht/time.h"

namespace shoal::dht {

// Fingerprints are 64 bits of something random or keyed.
class RecentSet {
 public:
  explicit RecentSet(std::size_t capacity) : capacity_(capacity) {}

  bool contains(std::uint64_t value) const { return set_.contains(value); }
  // False when it was there.
  bool insert(std::uint64_t value) {
    if (capacity_ == 0) return true;
    if (!set_.insert(value).second) return false;
    if (ring_.size() < capacity_) {
      ring_.push_back(value);
      return true;
    }
    set_.erase(ring_[next_]);
    ring_[next_] = value;
    next_ = (next_ + 1) % capacity_;
    return true;
  }
  std::size_t size() const { return set_.size(); }

 private:
  const std::size_t capacity_;
  absl::flat_hash_set<std::uint64_t> set_;
  std::vector<std::uint64_t> ring_;  // in order of arrival, from next_ on
  std::size_t next_ = 0;
};

// An entry lives at least `age` after it was put or found, unless more than half the capacity came
// after it.
template <typename Key, typename Value, typename Hash>
class RecentMap {
 public:
  RecentMap(std::size_t capacity, Duration age) : capacity_(capacity), age_(age) {}

  // Valid until the next call.
  Value* find(const Key& key, TimePoint now) {
    rotate(now);
    if (const auto it = young_.find(key); it != young_.end()) return &it->second;
    const auto it = old_.find(key);
    if (it == old_.end()) return nullptr;
    Value value = std::move(it->second);
    old_.erase(it);
    return &young_.insert_or_assign(key, std::move(value)).first->second;
  }
  Value* put(const Key& key, Value value, TimePoint now) {
    rotate(now);
    old_.erase(key);
    return &young_.insert_or_assign(key, std::move(value)).first->second;
  }
  void erase(const Key& key) {
    young_.erase(key);
    old_.erase(key);
  }
  void clear() {
    young_.clear();
    old_.clear();
  }
  std::size_t size() const { return young_.size() + old_.size(); }

 private:
  void rotate(TimePoint now) {
    if (young_.empty()) began_ = now;
    if (now - began_ < age_ && young_.size() < (capacity_ + 1) / 2) return;
    old_ = std::exchange(young_, {});
    began_ = now;
  }

  const std::size_t capacity_;
  const Duration age_;
  TimePoint began_{};
  absl::flat_hash_map<Key, Value, Hash> young_, old_;
};

}  // namespace shoal::dht
