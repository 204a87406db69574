// SPDX-License-Identifier: Apache-2.0
// From which of our addresses to write to whom: the one at which that peer talked to us last, since
// its session, its firewall and its NAT know us by that. Value class for the shell: bounded, no
// I/O, time by argument.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "dht/endpoint_hash.h"
#include "dht/recent.h"
#include "dht/time.h"
#include "proto/endpoint.h"

namespace shoal::dht {

class ReplyPaths {
 public:
  using LocalAddress = std::array<std::uint8_t, 16>;

  // Somebody who is truly at `from` wrote to us at `to`.
  void heard(const proto::Endpoint& from, const LocalAddress& to, TimePoint now);
  // Our address for a datagram to `to`, which counts as sent; null: the kernel chooses. Valid until
  // the next call.
  const LocalAddress* towards(const proto::Endpoint& to, TimePoint now);
  // Nothing can be sent from there.
  void failed(const proto::Endpoint& to) { paths_.erase(to); }
  std::size_t size() const { return paths_.size(); }

 private:
  struct Path {
    LocalAddress local;
    int unanswered = 0;  // sent since the peer was heard
  };
  // More than sessions: every contact, too.
  static constexpr std::size_t kMaxPaths = 8192;
  static constexpr Duration kAge = seconds(600);
  // An address may be ours and yet lead nowhere (a cable was pulled): then the kernel's choice is
  // better, and who still hears us is greeted anew.
  static constexpr int kMaxUnanswered = 8;
  RecentMap<proto::Endpoint, Path, EndpointHash> paths_{kMaxPaths, kAge};
};

// The addresses of this machine at which other machines talk to us. Bounded.
class MeetingPoints {
 public:
  using LocalAddress = ReplyPaths::LocalAddress;

  // All addresses of this machine; until they are known nobody counts as somebody else.
  void set_own(std::vector<LocalAddress> own) { own_ = std::move(own); }
  void heard(const proto::Endpoint& from, const LocalAddress& to);
  const std::vector<LocalAddress>& all() const { return all_; }

 private:
  static constexpr std::size_t kMax = 64;
  std::vector<LocalAddress> own_, all_;
};

}  // namespace shoal::dht
