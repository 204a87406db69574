// SPDX-License-Identifier: Apache-2.0
// One gRPC channel per peer, whatever addresses it has, made on first use with our limits and
// keep-alive, dropped when unused. Thread-safe. Owns the channels.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <optional>
#include <vector>

#include "net/identity_tls.h"
#include "proto/endpoint.h"

namespace shoal::net {

class ChannelPool {
 public:
  ChannelPool(dht::Identity identity, std::optional<dht::SwarmKey> swarm_key);
  ~ChannelPool();

  // Never blocks; the connection is made in the background or by the first call, to whichever of
  // `addresses` (at least one, the likeliest first) that very peer answers at. A connection that is
  // up stays, whatever addresses are named; one that failed is tried anew at those named now.
  std::shared_ptr<grpc::Channel> get(const proto::PeerId& peer,
                                     const std::vector<proto::Endpoint>& addresses);
  // Forgets a channel, so that the next get() connects anew.
  void drop(const proto::PeerId& peer);
  // Where the peer answered, while its connection is up and that is known.
  std::optional<proto::Endpoint> connected_address(const proto::PeerId& peer) const;
  std::size_t size() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
