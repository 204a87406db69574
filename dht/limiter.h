// SPDX-License-Identifier: Apache-2.0
// How much work and how many bytes others may cause: token buckets per source, per network and for
// everything that goes to unproven addresses. Private and loopback addresses are exempt: nobody on
// the Internet can pretend to be there. Value classes: no clock, no I/O; the tables are bounded and
// keyed, so that nobody can choose where a source falls.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "dht/config.h"
#include "dht/drops.h"
#include "identity/random.h"
#include "proto/endpoint.h"

namespace shoal::dht {

// One token bucket is one point in time: when it will be full again. A fresh one is full.
class Rate {
 public:
  explicit Rate(const RateLimit& limit);
  // Takes `cost` tokens, or none when that would leave fewer than `reserve`.
  bool take(TimePoint& full_at, double cost, double reserve, TimePoint now) const;

 private:
  double ns_per_token_;
  double burst_ns_;
};

// A bucket per key. Full buckets are not kept. When too many are in use at once, newcomers share
// one.
class RateTable {
 public:
  RateTable(const RateLimit& limit, std::size_t capacity) : rate_(limit), capacity_(capacity) {}
  bool take(std::uint64_t key, TimePoint now);
  std::size_t size() const { return buckets_.size(); }

 private:
  static constexpr std::size_t kMinSweep = 64;

  Rate rate_;
  std::size_t capacity_;
  std::size_t sweep_at_ = kMinSweep;
  TimePoint next_sweep_{};
  TimePoint shared_{};
  absl::flat_hash_map<std::uint64_t, TimePoint> buckets_;
};

class Limiter {
 public:
  Limiter(const LimiterConfig& config, identity::Random& random);

  // A packet whose source may be a lie; one whose cookie proves its source; a handshake, whose
  // cookie does so too. The reason to drop it, or nothing.
  std::optional<Drop> unproven(const proto::Endpoint& from, TimePoint now);
  std::optional<Drop> proven(const proto::Endpoint& from, TimePoint now);
  std::optional<Drop> handshake(const proto::Endpoint& from, TimePoint now);
  // An authentic message in a session; the session keeps its peer's bucket. Never counts against
  // the address: whoever lies about his source must not be able to cut an honest peer off.
  bool message(const proto::Endpoint& from, TimePoint& full_at, TimePoint now) const;

  // Whether `bytes` may go to an unproven address: a whole reply while half of the budget is left,
  // a challenge until it is spent.
  bool reply(const proto::Endpoint& to, std::size_t bytes, TimePoint now);
  bool challenge(const proto::Endpoint& to, TimePoint now);

  std::size_t size() const {
    return sources_.size() + networks_.size() + proven_.size() + handshakes_.size();
  }

 private:
  // The first `bits` of the address (of an IPv4 address: `v4_bits`), hashed.
  std::uint64_t key(const proto::Endpoint& from, int v4_bits, int v6_bits) const;

  const LimiterConfig config_;
  std::array<std::uint8_t, 16> secret_;
  RateTable sources_, networks_, proven_, handshakes_;
  Rate budget_, peer_;
  TimePoint budget_full_at_{};
};

}  // namespace shoal::dht
