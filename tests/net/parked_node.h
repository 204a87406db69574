// SPDX-License-Identifier: Apache-2.0
// For tests of relays: a host that only relays, and the parked end of a node by hand.
#pragma once

#include <optional>

#include "net/relay.h"
#include "net/server.h"
#include "proto/address.h"
#include "proto/tunnel.h"
#include "tests/net/tls_talker.h"

namespace shoal::net {

// A front without services, with a relay behind its door.
class RelayHost {
 public:
  explicit RelayHost(const identity::Identity& who, const RelayOptions& options = {},
                     const std::optional<identity::SwarmKey>& swarm_key = {});
  ~RelayHost();

  proto::Endpoint endpoint() const { return running_.endpoint; }
  proto::Address address() const;  // at which this relay relays
  RelayStats stats() const { return relay_.stats(); }
  void let_go() { relay_.let_go(); }
  // Waits five seconds at most.
  bool has_parked(std::uint64_t connections) const;
  const Front& front() const { return *running_.front; }

 private:
  const proto::PeerId peer_;
  Relay relay_;
  RunningServer running_;
};

// What a relay says; nothing when the connection ends, or after five seconds.
std::optional<proto::TunnelReply> hear(TlsTalker& talker);

// One connection that parks.
class ParkedNode {
 public:
  ParkedNode(const identity::Identity& who, const proto::Endpoint& relay);

  bool parks();
  // When a caller is there: the socket, outside of TLS, the caller's to close; -1: nobody came.
  int await_caller();
  TlsTalker& talker() { return talker_; }

 private:
  TlsTalker talker_;
};

}  // namespace shoal::net
