// SPDX-License-Identifier: Apache-2.0
// What helpers say of our addresses: the words of dial-backs, whom to ask for them, and what a few
// of them together mean. Plain values and pure functions. docs/reachability.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "identity/random.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::node {

// A peer that may be asked to dial us back, and where we would call it.
struct Helper {
  proto::PeerId peer;
  proto::Endpoint at;
  bool is_relay = false;  // of ours: the router lets its datagrams in already
  friend bool operator==(const Helper&, const Helper&) = default;
};

enum class DialOutcome : std::uint8_t { kNotAsked, kReached, kSilent, kRefused, kOther, kUntried };
const char* words_of(DialOutcome outcome);

struct DialBackAnswer {
  Helper helper;
  proto::Endpoint seen;  // where our connection to it comes from; its port means nothing
  DialOutcome tcp = DialOutcome::kNotAsked, udp = DialOutcome::kNotAsked;
};

// Whether a stranger's record may have us connect there, to ask for a dial-back or a relay:
// everywhere, but to private addresses only in a keyed swarm, or where neither the swarm nor we are
// known by a public one (`known_by`: the addresses that we joined by and announce). Else whoever
// publishes a record could have nodes knock at doors in their own networks.
bool may_ask_at(const proto::Endpoint& address, std::span<const proto::Endpoint> known_by,
                bool keyed_swarm);

// Whom to ask of one address family, best first, at most `most`: other networks first, those of our
// own machine (`machine`: all of its addresses, announced or not; any port) never, our relays last.
// `random` decides among equals.
std::vector<Helper> choose_helpers(std::vector<Helper> known,
                                   std::span<const proto::Endpoint> machine, bool v4,
                                   std::size_t most, identity::Random& random);

enum class Reached : std::uint8_t { kUnknown, kYes, kNo };

struct Verdict {
  Reached tcp = Reached::kUnknown, udp = Reached::kUnknown;
  // Where most helpers see us; port 0. Absent when none has answered.
  std::optional<proto::Endpoint> seen;
  std::size_t helpers = 0;  // whose word counted
  friend bool operator==(const Verdict&, const Verdict&) = default;
};
// Neighbours, who see us at a private address of this machine, count only where nobody comes from
// beyond: what they reach says nothing of the rest. Most decide; where as many say yes as no, yes.
Verdict judge(std::span<const DialBackAnswer> answers, std::span<const proto::Endpoint> machine);
// Whether `open` more answers could not turn it.
bool is_settled(std::span<const DialBackAnswer> answers, std::size_t open);

}  // namespace shoal::node
