// SPDX-License-Identifier: Apache-2.0
// The smallest node: a server that tells each caller who it takes the caller for, and the call that
// asks.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "identity/identity.h"
#include "net/server.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::net {

class EchoService : public wire::SpanService::CallbackService {
 public:
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const wire::DescribeRequest* request,
                                     wire::DescribeReply* reply) override;
};

struct EchoNode {
  explicit EchoNode(const identity::Identity& who,
                    const std::optional<identity::SwarmKey>& swarm_key = {},
                    const std::string& listen = "127.0.0.1:0");
  ~EchoNode();

  EchoService service;
  RunningServer running;
};

proto::Endpoint loopback(std::uint16_t port = 0);

struct Answer {
  grpc::Status status;
  std::string peer_id;  // whom the node takes us for
  std::string address;  // and where it sees us
};
Answer describe(const std::shared_ptr<grpc::Channel>& channel, int timeout_ms = 10'000);

}  // namespace shoal::net
