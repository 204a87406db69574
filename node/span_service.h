// SPDX-License-Identifier: Apache-2.0
// SpanService of proto/span_service.proto: Describe, Session, Push. Reactors parse, validate and
// hand over; they never block. Serves nothing but Describe until serve() is called. Thread-safe.
// Stop the gRPC server before destroying it.
#pragma once

#include <atomic>
#include <memory>
#include <variant>

#include "net/caller.h"
#include "net/channel_pool.h"
#include "node/device_thread.h"
#include "node/next_hops.h"
#include "node/node_facts.h"
#include "node/outbox_budget.h"
#include "node/session_table.h"
#include "node/stream_registry.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::node {

// Session and Push are raw: their reactors parse (node/frame_codec.h).
using RawSpanService =
    wire::SpanService::WithRawCallbackMethod_Session<wire::SpanService::WithRawCallbackMethod_Push<
        wire::SpanService::WithCallbackMethod_Describe<wire::SpanService::Service>>>;

class SpanService final : public RawSpanService {
 public:
  SpanService(proto::PeerId self, net::ChannelPool& channels) : self_(self), channels_(channels) {}

  // Once; all must outlive the service's last stream.
  void serve(const NodeFacts& facts, DeviceThread& device, NextHops& next_hops);
  void set_state(proto::NodeState state) { state_ = state; }
  proto::NodeState state() const { return state_; }

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const wire::DescribeRequest* request,
                                     wire::DescribeReply* reply) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Session(
      grpc::CallbackServerContext* context) override;
  grpc::ServerReadReactor<grpc::ByteBuffer>* Push(grpc::CallbackServerContext* context,
                                                  grpc::ByteBuffer* reply) override;

  // For the reactors.
  std::variant<std::shared_ptr<node::Session>, Refusal> open_session(
      const wire::Open& open, const net::Caller& client, const std::shared_ptr<ClientLink>& link);
  void publish_session(const std::shared_ptr<node::Session>& session) {
    sessions_.publish(session);
  }
  void remove_session(const std::shared_ptr<node::Session>& session) { sessions_.remove(session); }

  SessionTable& sessions() { return sessions_; }
  StreamRegistry& registry() { return registry_; }
  OutboxBudget& outbox() { return outbox_; }
  // Once a second.
  void sweep(std::chrono::steady_clock::time_point now);

 private:
  struct Serving {
    const NodeFacts& facts;
    DeviceThread& device;
    NextHops& next_hops;
  };
  const Serving* serving() const { return serving_ready_.load() ? &*serving_ : nullptr; }
  void connect_next(const OpenRequest& request, const net::Caller& client,
                    const std::shared_ptr<node::Session>& session);

  const proto::PeerId self_;
  net::ChannelPool& channels_;
  std::atomic<proto::NodeState> state_ = proto::NodeState::kJoining;
  std::optional<Serving> serving_;
  std::atomic<bool> serving_ready_ = false;
  OutboxBudget outbox_;
  SessionTable sessions_;
  StreamRegistry registry_;
};

}  // namespace shoal::node
