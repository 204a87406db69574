// SPDX-License-Identifier: Apache-2.0
// What a node knows of hops that it may push to, and whom it dials for whom: only what a live
// signed record of that very peer announces, only addresses of a reach that this node itself has,
// and only so often. A client that names a next hop must learn nothing of our network by it
// (docs/protocol.md, section 5). Value class, bounded; time comes in by argument. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "dht/limiter.h"
#include "dht/record.h"
#include "proto/address.h"
#include "proto/types.h"

namespace shoal::node {

// How far the addresses reach that this node may dial because a stranger asks for it.
struct DialReach {
  bool loopback = false;
  bool private_networks = false;
  // Through ourselves, where we relay for it: our own front. Routers seldom serve their inner hosts
  // at the public address under which we relay.
  std::optional<proto::Address> own_relay = std::nullopt;
};

// From what this node itself announces. Whoever is reached from the Internet must not be a window
// into the network behind it; in a keyed swarm nobody is a stranger.
DialReach dial_reach(std::span<const proto::Endpoint> announced, bool keyed_swarm);
// Through a relay, it is the relay's address that is dialled: the same holds for it.
bool may_dial(const DialReach& reach, const proto::Address& address);

class NextHopBook {
 public:
  using TimePoint = dht::TimePoint;

  struct Question {
    proto::PeerId client;
    proto::Endpoint caller;  // where the client calls from
    proto::PeerId next;
    proto::BlockIndex block = 0;  // the first one after our span
  };

  // Whether the peer's record was read not long ago: then nobody waits for a look-up.
  bool knows(const Question& question, TimePoint now) const;
  // Whether the records of this block should be read (again).
  bool must_look_up(const Question& question, TimePoint now);
  // Whether its records have been read at that time or later.
  bool read_since(proto::BlockIndex block, TimePoint time) const;
  // Bounds look-ups in all; false: answer with what is known.
  bool may_look_up(TimePoint now);
  // The records of one block of our model.
  void learned(proto::BlockIndex block, std::vector<dht::Record> records, TimePoint now);

  // The addresses to dial for this question: none when no live record of the peer names the block,
  // none of its addresses may be dialled, or the client has had us dial too much.
  std::vector<proto::Address> addresses(const Question& question, const DialReach& reach,
                                        TimePoint now);

  // A connection to the peer came up there, and it proved its identity.
  void worked(const proto::PeerId& peer, const proto::Address& address);
  // Whether it did so at each of these: then a failure tells nothing that a stranger may not know.
  bool proven(const proto::PeerId& peer, std::span<const proto::Address> addresses) const;
  // The dial failed: the record may be out of date.
  void failed(const Question& question);

 private:
  struct Block {
    TimePoint read_at{};
    std::map<proto::PeerId, std::vector<proto::Address>> peers;
  };
  struct Dialled {
    std::vector<proto::Address> addresses;
    TimePoint at{};
  };

  bool take_dial(const Question& question, const std::vector<proto::Address>& addresses,
                 TimePoint now);

  std::map<proto::BlockIndex, Block> blocks_;
  std::map<proto::PeerId, std::set<proto::Address>> proven_;
  std::map<proto::PeerId, Dialled> dialled_;
  dht::TimePoint lookups_full_at_{};
  dht::TimePoint dials_full_at_{};
  dht::RateTable clients_{kClientDials, kMaxKnown};
  dht::RateTable networks_{kNetworkDials, kMaxKnown};

  // Dials to peers that we never reached. A route has tens of hops, and a client opens few routes;
  // peers that we reached once cost nothing.
  static constexpr dht::RateLimit kClientDials{0.5, 16};
  static constexpr dht::RateLimit kNetworkDials{2, 64};  // identities are free, networks are not
  static constexpr std::size_t kMaxKnown = 1024;
};

}  // namespace shoal::node
