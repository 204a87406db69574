// SPDX-License-Identifier: Apache-2.0
// How many bytes each peer may move now, of a rate that all of them share: whoever is alone has all
// of it; of several that want to move something, each has an equal part, however many connections
// it has. Beside that each has a budget of its own over hours. Decides only; time comes in by
// argument. One thread. Bytes, bytes per second.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>

#include "net/token_bucket.h"
#include "proto/types.h"

namespace shoal::net {

class FairRate {
 public:
  using Time = std::chrono::steady_clock::time_point;

  FairRate(double per_second, Rate of_peer) : per_second_(per_second), of_peer_(of_peer) {}

  // At least one byte: so many may be moved, and are then charged; 0: ask again at later().
  std::uint64_t allowed(const proto::PeerId& peer, Time now);
  void charge(const proto::PeerId& peer, std::uint64_t bytes, Time now);
  // When the peer, of which allowed() was 0, has earned something worth moving.
  Time later(const proto::PeerId& peer, Time now);

  std::size_t remembered() const { return peers_.size(); }

 private:
  // A peer that asked for nothing in this time has no part.
  static constexpr std::chrono::milliseconds kActive{200};
  // Of the shared rate, what may be moved at once: a decode step of any model, and a millisecond of
  // a fast link.
  static constexpr double kBurst = 256 << 10;
  // Less is not worth a system call.
  static constexpr double kLeast = 4 << 10;
  static constexpr std::size_t kRemembered = 1'024;

  struct Peer {
    Peer(Rate budget, Time now) : level(kBurst), filled(now), asked(now), budget(budget, now) {}
    double level;  // of its part; may be negative
    Time filled, asked;
    TokenBucket budget;
  };

  Peer& fill(const proto::PeerId& id, Time now);
  double part() const {
    return per_second_ / static_cast<double>(std::max<std::size_t>(active_, 1));
  }

  const double per_second_;
  const Rate of_peer_;
  std::map<proto::PeerId, Peer> peers_;
  std::size_t active_ = 0;
  Time counted_{};
};

}  // namespace shoal::net
