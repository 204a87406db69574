// SPDX-License-Identifier: Apache-2.0
// Chooses the hops of a session: the cheapest path through (peer, block) that covers all blocks,
// where a hop may be a whole span or a part of one. Pure: what it knows comes in by argument, and
// equal input gives an equal route. Follows Petals' min_latency routing, with queues and half round
// trips between hops estimated from the client's own.
#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/address.h"
#include "proto/limits.h"
#include "proto/offer.h"

namespace shoal::client {

// A node that answered, and what is known of it.
struct Candidate {
  proto::PeerId peer;
  std::vector<proto::Address> addresses;  // the one that answers, when known, first
  proto::Span span;
  proto::Numerics numerics{};
  proto::Load load;
  double rtt_us = 0;
  std::uint32_t max_positions = 0;  // that one session may ever have here
  std::uint32_t max_rows = 0;       // of one step; 0: it did not say
  double penalty_us = 0;            // for what it did a moment ago: part of no promise
  bool sessions_full = false;       // all its sessions are taken
  // Where nodes compute the model's ends.
  proto::Ends ends{};
  double head_us = 0;  // one row through its head
  std::uint32_t version_minor = proto::kProtocolMinor;
};

struct Hop {
  proto::PeerId peer;
  std::vector<proto::Address> addresses;  // at least one; the first is the one to show
  proto::Span span;
  proto::Numerics numerics{};  // what it computes in
  proto::Ends ends{};          // what it computes of the model's ends in this session
  friend bool operator==(const Hop&, const Hop&) = default;
};
using Route = std::vector<Hop>;

// [blocks]: what each block of a session is computed in; empty: nothing was computed yet.
using BlockKinds = std::vector<proto::Numerics>;

struct RouteRequest {
  std::uint32_t block_count = 0;
  std::uint32_t positions = 0;         // KV that each hop must have free
  std::set<proto::PeerId> excluded{};  // not to be used at all
  // What it costs to go from the first peer straight to the second, who did not get through.
  std::map<std::pair<proto::PeerId, proto::PeerId>, double> cuts_us{};
  // What the blocks were computed in so far: others cost kOtherKindUs a block. [block_count] or
  // empty.
  BlockKinds kinds{};
  // Nodes compute the model's ends: the first hop embeds, the last has the head; and the head that
  // rows were scored by so far, if any: another costs kOtherKindUs too.
  bool remote_ends = false;
  proto::WeightFormat head = proto::WeightFormat::kUnknown;
};

// Microseconds that every hop costs besides its blocks and the network: parsing, a thread's
// wake-up, TLS.
inline constexpr double kHopOverheadUs = 300;
// For a node that has not measured itself.
inline constexpr double kUnknownBlockStepUs = 1000;
// For a block that would go on in other numerics: the text would no longer be exact. More than a
// way around the world, and for a whole model (proto::kMaxModelBlocks) less than what a node costs
// that has failed, so that a session never waits for the dead while others of another kind live.
inline constexpr double kOtherKindUs = 250'000;

// The part of a node's span that it can run for a session whose ends nodes compute: without the
// first block if it does not embed, without the last if it has no head. Nothing of a node that
// would not pass on what a step asks of the last hop.
proto::Span span_with_ends(proto::Span span, const proto::Ends& ends, std::uint32_t version_minor,
                           std::uint32_t block_count);

// Microseconds that one decode step takes through `route`; with penalties, cuts and what other
// kinds cost the sum that find_route makes least.
double route_cost_us(const Route& route, const std::vector<Candidate>& candidates);
// What its blocks of other kinds cost, and its head if it is of another; part of no promise.
double other_kinds_us(const Route& route, const BlockKinds& kinds,
                      proto::WeightFormat head = proto::WeightFormat::kUnknown);

// [hops]: what may pass from the news of the hop before (or our sending) until the news of this
// one, for one decode step, and how much of it is the way, and a head.
struct StageCost {
  double us = 0;
  double network_us = 0;
  double head_us = 0;
};
std::vector<StageCost> stage_costs(const Route& route, const std::vector<Candidate>& candidates);

// UNAVAILABLE names the blocks that nobody serves, or serves with the model's ends. Nodes without
// room are used where no others serve: they say what is full, and others give way to who asks.
// Never uses a peer for two hops.
absl::StatusOr<Route> find_route(const RouteRequest& request,
                                 const std::vector<Candidate>& candidates);

}  // namespace shoal::client
