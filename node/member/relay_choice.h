// SPDX-License-Identifier: Apache-2.0
// Which peers a node behind a router has as relays: a few are tried at once, and the first two that
// take it are nearest; of two in one network the second waits whether another one comes. A lost
// one is replaced at once, and who failed is not tried again soon. Decides only; time comes in by
// argument. Value class, bounded.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "proto/endpoint.h"
#include "proto/limits.h"
#include "proto/types.h"

namespace shoal::node {

// A peer that may relay: where, and who; an address of --join does not say who.
struct RelayCandidate {
  proto::Endpoint at;
  std::optional<proto::PeerId> peer;
  friend bool operator==(const RelayCandidate&, const RelayCandidate&) = default;
};

class RelayChoice {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Whom we know now. Those that are tried or taken stay, whoever is named.
  void learn(std::span<const RelayCandidate> candidates);
  // To be tried from now on; each is answered by took() or failed().
  std::vector<RelayCandidate> due(Time now);
  void took(const proto::Endpoint& at, const proto::PeerId& peer, Time now);
  // It does not answer, or takes nobody: not before `retry`, and longer each time.
  void failed(const proto::Endpoint& at, std::chrono::milliseconds retry, Time now);
  // It had taken us, and is gone.
  void lost(const proto::Endpoint& at, Time now);

  struct Relay {
    proto::Endpoint at;
    proto::PeerId peer;
    friend bool operator==(const Relay&, const Relay&) = default;
  };
  // Those that we keep, the longest first; at most kRelaysOfNode.
  const std::vector<Relay>& relays() const { return relays_; }
  // Those that took us, or still might, and are not needed: let them go.
  std::vector<proto::Endpoint> surplus(Time now);
  // When due(), relays() or surplus() may say something new without news.
  std::optional<Time> next(Time now) const;

 private:
  enum class State : std::uint8_t { kIdle, kTried, kSpare, kKept };
  struct Known {
    RelayCandidate candidate;
    State state = State::kIdle;
    int failures = 0;  // in a row
    Time not_before{};
    Time took_at{};  // as a spare
  };

  Known* find(const proto::Endpoint& at);
  bool is_needed() const { return relays_.size() < proto::kRelaysOfNode; }
  void keep(Known& known);
  void promote(Time now);
  bool shares_network(const proto::Endpoint& at) const;  // with one that we keep

  std::vector<Known> known_;
  std::vector<Relay> relays_;
};

}  // namespace shoal::node
