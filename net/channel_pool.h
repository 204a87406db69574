// SPDX-License-Identifier: Apache-2.0
// One gRPC channel per (peer, address), made on first use with our limits and keep-alive, dropped
// when unused. Thread-safe. Owns the channels.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "net/identity_tls.h"
#include "proto/endpoint.h"

namespace shoal::net {

class ChannelPool {
 public:
  ChannelPool(dht::Identity identity, std::optional<dht::SwarmKey> swarm_key);
  ~ChannelPool();

  // Never blocks; the connection is made in the background or by the first call.
  std::shared_ptr<grpc::Channel> get(const proto::PeerId& peer, const proto::Endpoint& address);
  // Forgets a channel, so that the next get() connects anew.
  void drop(const proto::PeerId& peer, const proto::Endpoint& address);
  std::size_t size() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
