// SPDX-License-Identifier: Apache-2.0
// What `shoal-node netcheck` says: how others would reach a node of this machine, family by family,
// what the router offers, and what to do. check_net joins the swarm for some seconds as a member
// without a model and asks its peers (node/member/reach_keeper.h); the texts are pure.
// docs/reachability.md.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "dht/observed_addresses.h"
#include "node/member/membership.h"

namespace shoal::node {

struct NetCheck {
  struct FamilyFacts {
    std::string name;  // "IPv4"
    std::vector<proto::Endpoint> own;
    Verdict verdict;
    Rung rung = Rung::kUnknown;
    std::optional<net::PortMapping> mapping;
    std::string why_unmapped;
    std::optional<net::RouterOffers> router;  // absent: not asked
    dht::ObservedPorts ports;
    std::vector<DialBackAnswer> answers;
    std::vector<std::optional<std::chrono::microseconds>> round_trips;  // of these
  };
  bool joined = false;        // else there was nobody to ask
  bool is_here_only = false;  // a swarm of this machine alone
  std::uint16_t port = 0;     // that was listened on
  std::vector<FamilyFacts> families;
  std::vector<proto::Address> relays;  // that would take us; looked for only where they are needed
  std::string told;                    // in one line

  enum class Answer : std::uint8_t {
    kReached,      // directly, by the router, or through a relay
    kHereOnly,     // by this machine, and nobody else is meant to
    kNotReached,   // somebody tried, and no relay is there
    kNobodyToAsk,  // nobody tried: nothing is known
  };
  Answer answer() const;
  // What a node here needs is there: exit status 0.
  bool is_good() const { return answer() == Answer::kReached || answer() == Answer::kHereOnly; }
};

// `options` without a record to announce; the identity is one for this check alone.
absl::StatusOr<NetCheck> check_net(MembershipOptions options, const base::StopToken& stop);

std::string netcheck_text(const NetCheck& check);
std::string netcheck_json(const NetCheck& check);  // one object, one line

}  // namespace shoal::node
