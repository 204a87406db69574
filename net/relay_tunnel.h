// SPDX-License-Identifier: Apache-2.0
// One tunnel of a relay: carries bytes between two sockets, at the rate that both peers are
// granted. Bounded: what one end does not take, the other is not asked for. Belongs to one thread;
// owns both sockets.
#pragma once

#include <array>
#include <chrono>
#include <string>

#include "net/fair_rate.h"
#include "proto/types.h"

namespace shoal::net {

// Of one direction, at once.
inline constexpr std::size_t kTunnelChunkBytes = 32 << 10;

struct RelayRates {
  RelayRates(double per_second, Rate of_peer)
      : callers(per_second, of_peer), targets(per_second, of_peer) {}
  FairRate callers, targets;
};

class RelayTunnel {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct End {
    int socket = -1;  // connected, non-blocking
    proto::PeerId peer;
  };
  // `scratch`: kTunnelChunkBytes, of the thread; it and `rates` must outlive this.
  RelayTunnel(const End& caller, const End& target, char* scratch, RelayRates& rates, Time now);
  ~RelayTunnel();
  RelayTunnel(const RelayTunnel&) = delete;
  RelayTunnel& operator=(const RelayTunnel&) = delete;

  // Moves what can be moved now. True: there is more to do at once, after others had their turn.
  bool turn(Time now);
  // What came waits until then, and needs a turn; before now: nothing waits.
  Time held_until() const { return held_until_; }
  bool is_over() const { return is_over_; }
  Time last_moved() const { return last_moved_; }
  std::uint64_t bytes() const { return bytes_; }  // moved, both ways

 private:
  struct Side {
    int socket = -1;
    std::string rest;    // of what came from the other end, not yet taken by this one
    bool ended = false;  // nothing more comes from it
    bool told = false;   // that nothing more comes for it
  };
  bool carry(Side& from, Side& to, Time now);
  bool flush(Side& to, Time now);

  const proto::PeerId caller_, target_;
  std::array<Side, 2> sides_;
  char* const scratch_;
  RelayRates& rates_;
  bool is_over_ = false;
  Time held_until_{}, last_moved_;
  std::uint64_t bytes_ = 0;
};

}  // namespace shoal::net
