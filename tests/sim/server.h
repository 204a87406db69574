// SPDX-License-Identifier: Apache-2.0
// How much one peer can take: it serves datagrams one after the other at its rate, and its socket
// holds so many; the rest is lost. Value class.
#pragma once

#include <algorithm>
#include <optional>

#include "dht/time.h"

namespace shoal::sim {

class Server {
 public:
  Server(double datagrams_per_s, std::size_t queue)
      : service_(static_cast<std::int64_t>(1e9 / datagrams_per_s)), queue_(queue) {}

  // When a datagram that comes in now has been served; nullopt: the socket was full.
  std::optional<dht::TimePoint> arrive(dht::TimePoint now) {
    const dht::TimePoint start = std::max(now, busy_until_);
    if (start - now > service_ * static_cast<std::int64_t>(queue_)) {
      ++lost_;
      return std::nullopt;
    }
    busy_until_ = start + service_;
    return busy_until_;
  }
  std::uint64_t lost() const { return lost_; }

 private:
  dht::Duration service_;
  std::size_t queue_;
  dht::TimePoint busy_until_{};
  std::uint64_t lost_ = 0;
};

}  // namespace shoal::sim
