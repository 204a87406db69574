// SPDX-License-Identifier: Apache-2.0
// Finds out how others reach this node, and keeps that true: the shell of node/member/ladder.
// Begins with the first round at once; a later one comes every ten minutes, when our addresses
// change, when the machine has slept, and when the first helper comes. Owns a thread ("reach"), and
// the mappers of ports. Thread rule: every method anywhere but on that thread; hooks are called on
// it. docs/reachability.md.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/stop_token.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "node/member/ladder.h"

namespace shoal::node {

struct ReachOptions {
  ReachMode mode = ReachMode::kAuto;
  std::uint16_t port = 0;                  // that we listen on
  std::vector<proto::Endpoint> announced;  // by --announce, with ports
  bool may_map = true;
  bool always_ask_router = false;  // what it offers, for a report
};

// The last rung, as somebody else keeps it; without `start` there is none.
struct RelayHooks {
  std::function<void()> start, stop;
  std::function<std::vector<proto::Address>()> addresses;  // any thread; never blocks
};

struct ReachHooks {
  std::function<std::vector<proto::Endpoint>()> own;  // our addresses, best first
  // All that this machine has, announced or not; any port.
  std::function<std::vector<proto::Endpoint>()> machine;
  std::function<std::vector<Helper>()> helpers;
  std::function<void()> changed;  // what is announced
  std::function<void(std::optional<bool>)> udp_reached;
  std::function<void()> woke;  // the machine has slept: others may have forgotten us
  RelayHooks relays;
};

// What was found, for people and programs.
struct ReachReport {
  bool is_here_only =
      false;  // only this machine's own addresses are announced: nothing to find out
  Ladder ladder;
  std::vector<proto::Endpoint> own;
  std::array<std::vector<DialBackAnswer>, 2> answers;  // of each family, the last ones
  std::vector<proto::Address> relays;
  std::string told() const;  // Ladder::told, or "on this machine only"
};

class ReachKeeper {
 public:
  ReachKeeper(const identity::Identity& identity,
              const std::optional<identity::SwarmKey>& swarm_key, ReachOptions options,
              ReachHooks hooks);
  ~ReachKeeper();  // gives the router's ports back
  ReachKeeper(const ReachKeeper&) = delete;
  ReachKeeper& operator=(const ReachKeeper&) = delete;

  // Until the first round has ended. False at the deadline, or when stopped.
  bool await_first(std::chrono::steady_clock::time_point deadline, const base::StopToken& stop);
  // Our addresses have changed, or something else that is worth another round.
  void look_again();
  // RelayHooks::addresses has others now.
  void relays_changed();
  ReachReport report() const;
  // What to announce now. Never blocks for long: also for the net thread.
  std::vector<proto::Address> announced(const std::vector<proto::Endpoint>& own) const;
  // What the routers offer; waits for that. Of IPv4 and IPv6; nullopt: none was asked.
  std::array<std::optional<net::RouterOffers>, 2> routers(
      std::chrono::steady_clock::time_point deadline, const base::StopToken& stop);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::node
