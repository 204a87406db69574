// SPDX-License-Identifier: Apache-2.0
// One gRPC channel per peer, whatever addresses it has, made on first use with our limits and
// keep-alive, dropped when unused. Thread-safe. Owns the connections: channels that outlive the
// pool are of no more use.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <optional>
#include <vector>

#include "identity/identity.h"
#include "identity/swarm_key.h"
#include "proto/address.h"
#include "proto/types.h"

namespace shoal::net {

class ChannelPool {
 public:
  ChannelPool(const identity::Identity& identity,
              const std::optional<identity::SwarmKey>& swarm_key);
  ~ChannelPool();

  // Never blocks; the connection is made in the background, to whichever of `addresses` (at least
  // one, the likeliest first) that very peer answers at, through relays after all others; calls
  // wait for it, or end with the reason why there is none. A connection that is up stays, whatever
  // addresses are named; one that broke or failed is dialled anew, after failures in a row not
  // before a short wait is over. Ask for each session or call: a channel does not connect twice.
  std::shared_ptr<grpc::Channel> get(const proto::PeerId& peer,
                                     const std::vector<proto::Address>& addresses);
  // Forgets a channel, so that the next get() connects anew; who holds it may go on.
  void drop(const proto::PeerId& peer);
  // Where the peer answered, while its connection is up.
  std::optional<proto::Address> connected_address(const proto::PeerId& peer) const;
  std::size_t size() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
