// SPDX-License-Identifier: Apache-2.0
// Who gives way when a node is full and somebody waits. While nobody waits everybody may have all
// there is; then what does nothing goes first, and peers and networks with more than their share
// come before others: whoever would still have less than the one he takes from may take (max-min
// fairness). Pure; docs/protocol.md, section 4, has the rules in words.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "node/device/scheduler.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::node {

// The network that shares are counted by: IPv4 /24, IPv6 /48, as an attacker gets them whole. All
// of a LAN or of one machine are one network: there anybody may have any address.
std::uint64_t network_of(const proto::Endpoint& caller);

struct Holding {
  SessionKey key = 0;
  proto::PeerId peer;
  std::uint64_t network = 0;
  std::int64_t leased = 0;  // KV positions
  std::int64_t filled = 0;
  bool working = false;               // steps of it wait, or are being computed
  bool stepped = false;               // it has made a step
  std::chrono::milliseconds idle{0};  // since its last step, or since it was opened
};

struct Newcomer {
  proto::PeerId peer;
  std::uint64_t network = 0;
  std::chrono::milliseconds waited{0};  // since it was refused first
};

// What is missing.
struct Need {
  std::int64_t sessions = 0;
  std::int64_t positions = 0;
};

struct Concession {
  std::vector<SessionKey> shrink;  // to what they have filled
  std::vector<SessionKey> end;
};

// What makes room for the newcomer; nullopt when nobody has to give so much way (yet).
std::optional<Concession> who_gives_way(std::vector<Holding> holdings, const Newcomer& newcomer,
                                        const Need& need);

// Who was refused and comes again. Bounded; time comes in by argument.
class WaitingLine {
 public:
  using Milliseconds = std::chrono::milliseconds;
  // The peer is refused now; how long it waits already.
  Milliseconds refused(const proto::PeerId& peer, Milliseconds now);
  void served(const proto::PeerId& peer) { waiting_.erase(peer); }
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Wait {
    Milliseconds first{0};
    Milliseconds last{0};
  };
  std::map<proto::PeerId, Wait> waiting_;
};

}  // namespace shoal::node
