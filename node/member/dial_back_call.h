// SPDX-License-Identifier: Apache-2.0
// Asks helpers for dial-backs, all at once, over connections of its own that leave from ephemeral
// ports: so no router knows our listening port from them. Blocks the caller until what they say is
// settled, or time is up; leaves no call and no connection behind. docs/reachability.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/stop_token.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "node/member/dial_back.h"

namespace shoal::node {

// One port of one address family, and whom to ask.
struct DialBackRound {
  std::uint16_t port = 0;
  bool udp = true;  // the same port of UDP, too
  std::vector<Helper> helpers;
};

// Of each round the answers that came. A round whose answers are settled is not waited for; one
// with some answers gets kDialBackOthersMs, without kDialBackAnswerMs.
std::vector<std::vector<DialBackAnswer>> ask_dial_backs(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key,
    const std::vector<DialBackRound>& rounds, const base::StopToken& stop);

// How long a call to a helper takes there and back, once it is connected; nullopt: it does not
// answer. At most two seconds.
std::optional<std::chrono::microseconds> helper_round_trip(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key,
    const Helper& helper);

}  // namespace shoal::node
