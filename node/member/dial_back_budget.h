// SPDX-License-Identifier: Apache-2.0
// How many dial-backs we make for whom: a peer, an address and everybody together have a rate each,
// so that nobody can make us dial at will. Decides only; time comes by argument. One thread at a
// time; bounded. docs/reachability.md.
#pragma once

#include <chrono>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "net/gatekeeper.h"
#include "net/token_bucket.h"
#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::node {

struct DialBackLimits {
  net::Rate peer{proto::kDialBacksPerPeerBurst, proto::kDialBacksPerPeerPerSecond};
  net::Rate address{proto::kDialBacksPerAddressBurst, proto::kDialBacksPerAddressPerSecond};
  net::Rate all{proto::kDialBacksBurst, proto::kDialBacksPerSecond};
  std::uint32_t at_once = proto::kMaxDialBacks;
  std::size_t remembered = proto::kMaxRemembered;  // peers, and addresses
};

class DialBackBudget {
 public:
  using Time = std::chrono::steady_clock::time_point;
  DialBackBudget(const DialBackLimits& limits, Time now) : limits_(limits), all_(limits.all, now) {}

  // Takes one, which ends with end(); false: not now.
  bool begin(const proto::PeerId& peer, const net::Network& address, Time now);
  void end() { --under_way_; }
  std::uint32_t under_way() const { return under_way_; }
  std::size_t remembered() const { return peers_.size() + addresses_.size(); }

 private:
  const DialBackLimits limits_;
  net::TokenBucket all_;
  std::uint32_t under_way_ = 0;
  std::map<proto::PeerId, net::TokenBucket> peers_;
  absl::flat_hash_map<net::Network, net::TokenBucket> addresses_;
};

}  // namespace shoal::node
