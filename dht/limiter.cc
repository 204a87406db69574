// SPDX-License-Identifier: Apache-2.0
#include "dht/limiter.h"

#include <sodium/crypto_shorthash.h>

#include <algorithm>

#include "dht/diversity.h"
#include "dht/packet.h"

namespace shoal::dht {

Rate::Rate(const RateLimit& limit)
    : ns_per_token_(1e9 / limit.per_s), burst_ns_(limit.burst * ns_per_token_) {}

bool Rate::take(TimePoint& full_at, double cost, double reserve, TimePoint now) const {
  const TimePoint after =
      std::max(full_at, now) + Duration(static_cast<std::int64_t>(cost * ns_per_token_));
  const auto room = static_cast<std::int64_t>(burst_ns_ - reserve * ns_per_token_);
  if (after - now > Duration(room)) return false;
  full_at = after;
  return true;
}

bool RateTable::take(std::uint64_t key, TimePoint now) {
  const auto it = buckets_.find(key);
  if (it != buckets_.end()) return rate_.take(it->second, 1, 0, now);
  if (buckets_.size() >= sweep_at_ && now >= next_sweep_) {
    // Whoever has not asked for a while has a full bucket again, which is what a newcomer gets.
    absl::erase_if(buckets_, [&](const auto& bucket) { return bucket.second <= now; });
    sweep_at_ = std::clamp(2 * buckets_.size(), std::min(kMinSweep, capacity_), capacity_);
    if (buckets_.size() >= capacity_) next_sweep_ = now + milliseconds(20);
  }
  if (buckets_.size() >= capacity_) return rate_.take(shared_, 1, 0, now);
  TimePoint full_at{};
  const bool allowed = rate_.take(full_at, 1, 0, now);
  buckets_.emplace(key, full_at);
  return allowed;
}

Limiter::Limiter(const LimiterConfig& config, identity::Random& random)
    : config_(config),
      secret_(random.bytes<16>()),
      sources_(config.source, config.max_sources),
      networks_(config.network, config.max_sources),
      proven_(config.proven_source, config.max_sources),
      handshakes_(config.handshakes, config.max_sources),
      budget_(config.unproven_bytes),
      peer_(config.peer) {}

std::uint64_t Limiter::key(const proto::Endpoint& from, int v4_bits, int v6_bits) const {
  const int bits = from.is_v4() ? 96 + v4_bits : v6_bits;
  std::array<std::uint8_t, 16> prefix{};
  std::copy_n(from.address.begin(), bits / 8, prefix.begin());
  std::array<std::uint8_t, crypto_shorthash_BYTES> hash;
  crypto_shorthash(hash.data(), prefix.data(), prefix.size(), secret_.data());
  std::uint64_t value = 0;
  for (const std::uint8_t byte : hash) value = value << 8 | byte;
  return value;
}

std::optional<Drop> Limiter::unproven(const proto::Endpoint& from, TimePoint now) {
  if (is_exempt(from)) return std::nullopt;
  if (!sources_.take(key(from, 32, 64), now)) return Drop::kSourceRate;
  if (!networks_.take(key(from, 24, 48), now)) return Drop::kNetworkRate;
  return std::nullopt;
}

std::optional<Drop> Limiter::proven(const proto::Endpoint& from, TimePoint now) {
  if (is_exempt(from) || proven_.take(key(from, 32, 64), now)) return std::nullopt;
  return Drop::kSourceRate;
}

std::optional<Drop> Limiter::handshake(const proto::Endpoint& from, TimePoint now) {
  if (is_exempt(from) || handshakes_.take(key(from, 24, 48), now)) return std::nullopt;
  return Drop::kHandshakeRate;
}

bool Limiter::message(const proto::Endpoint& from, TimePoint& full_at, TimePoint now) const {
  return peer_.take(full_at, 1, 0, now) || is_exempt(from);
}

bool Limiter::reply(const proto::Endpoint& to, std::size_t bytes, TimePoint now) {
  return is_exempt(to) || budget_.take(budget_full_at_, static_cast<double>(bytes),
                                       config_.unproven_bytes.burst / 2, now);
}

bool Limiter::challenge(const proto::Endpoint& to, TimePoint now) {
  return is_exempt(to) || budget_.take(budget_full_at_, kChallengeDatagramBytes, 0, now);
}

}  // namespace shoal::dht
