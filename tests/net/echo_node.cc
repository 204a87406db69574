// SPDX-License-Identifier: Apache-2.0
#include "tests/net/echo_node.h"

#include <grpcpp/server.h>

#include <chrono>

#include "base/check.h"
#include "net/caller.h"

namespace shoal::net {

grpc::ServerUnaryReactor* EchoService::Describe(grpc::CallbackServerContext* context,
                                                const wire::DescribeRequest* /*request*/,
                                                wire::DescribeReply* reply) {
  const auto caller = caller_of(*context);
  if (caller.ok()) {
    reply->set_peer_id(caller->peer.to_bytes());
    reply->mutable_offer()->set_public_name(proto::to_string(caller->address));
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(caller.ok() ? grpc::Status::OK
                              : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "who?"));
  return reactor;
}

EchoNode::EchoNode(const identity::Identity& who,
                   const std::optional<identity::SwarmKey>& swarm_key, const std::string& listen) {
  auto started = start_server(*proto::parse_endpoint(listen), who, swarm_key, {&service});
  CHECK(started.ok()) << started.status().ToString();
  running = std::move(*started);
}

EchoNode::~EchoNode() { running.shut_down(std::chrono::seconds(1)); }

proto::Endpoint loopback(std::uint16_t port) { return proto::Endpoint::v4({127, 0, 0, 1}, port); }

Answer describe(const std::shared_ptr<grpc::Channel>& channel, int timeout_ms) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  wire::DescribeReply reply;
  Answer answer;
  answer.status =
      wire::SpanService::NewStub(channel)->Describe(&context, wire::DescribeRequest(), &reply);
  answer.peer_id = reply.peer_id();
  answer.address = reply.offer().public_name();
  return answer;
}

}  // namespace shoal::net
