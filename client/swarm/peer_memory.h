// SPDX-License-Identifier: Apache-2.0
// What this process has learned of peers: how fast they were, who refused, failed or could not
// reach whom. Feeds the route's costs, so that a claim counts only as far as measurements bear it
// out, and whoever cost us time is chosen again only where nobody else serves, or when it is
// forgiven. Pure: time comes in by argument. Bounded. Thread-safe: all sessions of a process share
// it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "client/swarm/route.h"
#include "proto/types.h"

namespace shoal::client {

// What a node claims for one row through one block, as far as that can be.
double claimed_us(const Candidate& candidate);

class PeerMemory {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `salt` decides between equals, so that not all clients of a swarm choose the same.
  explicit PeerMemory(std::uint64_t salt = 0) : salt_(salt) {}

  // One row through one block, everything in it that we had to wait for.
  void measured(const proto::PeerId& peer, double block_us, Time now);
  void failed(const proto::PeerId& peer, Time now);  // was lost, lied, or did not move
  // `patience`: how long it asked us to stay away.
  void refused(const proto::PeerId& peer, std::chrono::milliseconds patience, Time now);
  // What `from` sent to `to` did not arrive, though both live. A peer that this happens to with
  // several others has failed.
  void cut(const proto::PeerId& from, const proto::PeerId& to, Time now);
  void worked(const proto::PeerId& peer, Time now);  // ran a step: refusals are forgotten

  bool avoids(const proto::PeerId& peer, Time now) const;
  bool knows(const proto::PeerId& peer, Time now) const;  // avoids it, or has measured it lately
  std::set<proto::PeerId> avoided(Time now) const;
  // Whether `route` uses nothing that is avoided.
  bool is_clean(const Route& route, Time now) const;

  // Replaces what the candidates claim by what is believed, and says what avoided ones cost.
  void judge(std::vector<Candidate>& candidates, RouteRequest& request, Time now) const;

 private:
  struct Trouble {
    int times = 0;  // in a row
    Time until{};   // avoided
  };
  struct Peer {
    double block_us = 0;  // 0: not measured
    Time measured_at{};
    Trouble failures, refusals;
    std::map<proto::PeerId, Time> cuts;  // with whom, lately
    Time touched{};
  };

  bool is_avoided(const proto::PeerId& peer, Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool is_cut(const proto::PeerId& from, const proto::PeerId& to, Time now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const Peer* measured_of(const Candidate& candidate) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Peer& touch(const proto::PeerId& peer, Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double jitter(const proto::PeerId& peer) const;

  const std::uint64_t salt_;
  mutable base::Mutex mutex_;
  std::map<proto::PeerId, Peer> peers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<proto::PeerId, proto::PeerId>, Trouble> cuts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::client
