// SPDX-License-Identifier: Apache-2.0
// Whom the routing table checks, and when.
#include <algorithm>

#include "dht/routing_table.h"

namespace shoal::dht {
namespace {

// Times in entries are 32 bits: ticks of 17 ms, which wrap around after two years.
constexpr int kTickBits = 24;
// Checks of the unverified before a verified contact has its turn: newcomers must not keep us from
// noticing who left.
constexpr int kUrgentInRow = 3;

std::uint32_t tick_of(TimePoint time) {
  return static_cast<std::uint32_t>(time.time_since_epoch().count() >> kTickBits);
}

bool is_due(std::uint32_t due, std::uint32_t tick) {
  return static_cast<std::int32_t>(due - tick) <= 0;
}

TimePoint time_of(std::uint32_t due, TimePoint now) {
  const std::int64_t whole = now.time_since_epoch().count() >> kTickBits;
  const auto ahead = static_cast<std::int32_t>(due - static_cast<std::uint32_t>(whole));
  return TimePoint(Duration((whole + ahead) << kTickBits));
}

}  // namespace

// 20 % either way: peers that joined together must not check together.
Duration RoutingTable::jittered(Duration base) {
  jitter_ += 0x9e3779b97f4a7c15u;  // SplitMix64
  std::uint64_t z = jitter_;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  const double unit = static_cast<double>((z ^ z >> 31) >> 11) * 0x1.0p-53;
  return Duration(
      static_cast<std::int64_t>(static_cast<double>(base.count()) * (0.8 + 0.4 * unit)));
}

void RoutingTable::schedule(Entry& entry, Duration wait, TimePoint now) {
  entry.due = wait == Duration(0) ? tick_of(now) : tick_of(now + wait) + 1;
  const TimePoint when = std::max(now + wait, last_check_ + pace());
  if (!next_check_ || when < *next_check_) next_check_ = when;
}

Duration RoutingTable::pace() const {
  if (small()) return config_.pace_small;
  return 4 * (size_ - verified_) > size_ ? config_.pace_fast : config_.pace;
}

RoutingTable::Entry* RoutingTable::urgent_check(std::uint32_t tick) {
  Entry* oldest = nullptr;
  if (verified_ == size_) return oldest;
  for (Bucket& bucket : buckets_) {
    for (Entry& entry : bucket.live) {
      if (!entry.verified && is_due(entry.due, tick) &&
          (oldest == nullptr || static_cast<std::int32_t>(entry.due - oldest->due) < 0))
        oldest = &entry;
    }
  }
  return oldest;
}

RoutingTable::Entry* RoutingTable::routine_check(std::uint32_t tick) {
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    routine_bucket_ = routine_bucket_ + 1 < buckets_.size() ? routine_bucket_ + 1 : 0;
    Entry* oldest = nullptr;
    for (Entry& entry : buckets_[routine_bucket_].live) {
      if (entry.verified && is_due(entry.due, tick) &&
          (oldest == nullptr || static_cast<std::int32_t>(entry.due - oldest->due) < 0))
        oldest = &entry;
    }
    if (oldest != nullptr) return oldest;
  }
  return nullptr;
}

std::optional<Contact> RoutingTable::poll_check(TimePoint now) {
  if (size_ == 0) next_check_.reset();
  if (!next_check_ || now < *next_check_) return std::nullopt;
  const std::uint32_t tick = tick_of(now);
  Entry* entry = urgent_in_row_ < kUrgentInRow ? urgent_check(tick) : nullptr;
  urgent_in_row_ = entry != nullptr ? urgent_in_row_ + 1 : 0;
  if (entry == nullptr) entry = routine_check(tick);
  if (entry == nullptr) entry = urgent_check(tick);
  if (entry != nullptr) {
    last_check_ = now;
    entry->due = tick_of(now + config_.check_unverified);
  }
  next_check_ = now + (small() ? pace() : jittered(pace()));
  if (small()) {
    // Exactly when the next one is due. In a large table somebody always is.
    TimePoint first = TimePoint::max();
    for_each([&](const Entry& other) { first = std::min(first, time_of(other.due, now)); });
    next_check_ = std::max(*next_check_, first);
  }
  if (entry == nullptr) return std::nullopt;
  return entry->contact;
}

std::optional<TimePoint> RoutingTable::next_check() const {
  return size_ == 0 ? std::nullopt : next_check_;
}

}  // namespace shoal::dht
