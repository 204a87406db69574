// SPDX-License-Identifier: Apache-2.0
// The relay of a node: takes visitors of a front's tunnel door, keeps those that park, and connects
// callers with them. It dials nobody, and carries what two peers encrypt for each other
// (docs/protocol-relay.md). Owns one thread and all connections. Any thread; close the door before
// its end.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "net/door.h"
#include "net/relay_book.h"
#include "proto/limits.h"
#include "proto/tunnel.h"

namespace shoal::net {

struct RelayOptions {
  RelayLimits limits;
  double bytes_per_second = proto::kRelayMbit * 1e6 / 8;  // all tunnels, both ways
  Rate bytes_of_peer{proto::kRelayBytesBurst, proto::kRelayBytesPerSecond};
  std::chrono::milliseconds idle{proto::kTunnelIdleMs};
};

struct RelayStats {
  std::uint64_t parked = 0, parked_peers = 0, waiting = 0, tunnels = 0;  // now
  std::uint64_t opened = 0;                                              // tunnels, ever
  std::uint64_t bytes = 0;                                               // carried, ever
  std::array<std::uint64_t, static_cast<std::size_t>(proto::TunnelRefusal::kCount)> refused{};
  std::uint64_t broken = 0;  // connections ended for what no honest peer sends
};

class Relay {
 public:
  explicit Relay(const RelayOptions& options = {});
  // Ends all tunnels.
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  Door door();  // for proto::kTunnelProtocol
  // Ends what is parked and what waits, from now on at once; tunnels go on. For who no longer takes
  // connections: those peers park elsewhere, or at its successor.
  void let_go();
  RelayStats stats() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
