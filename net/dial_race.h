// SPDX-License-Identifier: Apache-2.0
// Which address of a peer is tried when: a staggered race after RFC 8305, so that dead addresses,
// or those that somebody else answers at, cost next to no time. Pure: time comes in by argument;
// who owns it starts the attempts and tells what became of them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/address.h"

namespace shoal::net {

class DialRace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Addresses are tried in the order in which they are named, but those through relays after all
  // others; of each sort the families alternate, and `worked_last`, if it is among them, comes
  // first. What cannot be dialled at all fails at once.
  DialRace(const std::vector<proto::Address>& addresses,
           const std::optional<proto::Address>& worked_last, Time now);

  // More addresses of the same peer; known ones are ignored, those beyond kMaxDialledAddresses too.
  void add(const std::vector<proto::Address>& addresses);
  // The addresses to try from now on; each is returned once.
  std::vector<proto::Address> due(Time now);
  // An attempt came to nothing: the next one need not wait.
  void failed(const proto::Address& address, absl::Status why);
  // This process was not running for so long (it was stopped, or its machine stood still): that is
  // nobody's failure.
  void slept(std::chrono::nanoseconds time);
  // Nothing runs and nothing is left, or the time for all of it is up.
  bool lost(Time now) const;
  // When due() or lost() may say something new.
  Time next() const;
  Time deadline() const { return deadline_; }
  // After lost(): what a person should read. UNAUTHENTICATED when every address was answered, but
  // by somebody else or by another swarm (trying again will not help); else UNAVAILABLE.
  absl::Status verdict() const;

 private:
  struct Entrant {
    proto::Address address;
    bool started = false;
    std::optional<absl::Status> failure;
  };

  std::vector<Entrant> entrants_;
  Time next_start_;
  Time deadline_;
};

}  // namespace shoal::net
