// SPDX-License-Identifier: Apache-2.0
// SpanService of proto/span_service.proto: Describe, Session, Push. Reactors parse, validate and
// hand over; they never block. Serves nothing but Describe until serve() is called. Thread-safe.
// Stop the gRPC server before destroying it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

#include "net/channel_pool.h"
#include "node/device_thread.h"
#include "node/node_facts.h"
#include "node/session_table.h"
#include "node/stream_registry.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::node {

class SpanService final : public wire::SpanService::CallbackService {
 public:
  // `run` tells this run of our identity from another (node/twin.h); 0: does not tell.
  SpanService(proto::PeerId self, net::ChannelPool& channels, std::uint64_t run = 0)
      : self_(self), run_(run), channels_(channels) {}

  // Once; both must outlive the service.
  void serve(const NodeFacts& facts, DeviceThread& device);
  void set_state(proto::NodeState state) { state_ = state; }
  proto::NodeState state() const { return state_; }

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const wire::DescribeRequest* request,
                                     wire::DescribeReply* reply) override;
  grpc::ServerBidiReactor<wire::ClientFrame, wire::HopFrame>* Session(
      grpc::CallbackServerContext* context) override;
  grpc::ServerReadReactor<wire::PushFrame>* Push(grpc::CallbackServerContext* context,
                                                 wire::PushReply* reply) override;

  // For the reactors.
  std::variant<std::shared_ptr<node::Session>, Refusal> open_session(
      const wire::Open& open, const proto::PeerId& client, const std::shared_ptr<ClientLink>& link);
  void publish_session(const std::shared_ptr<node::Session>& session) {
    sessions_.publish(session);
  }
  void remove_session(const std::shared_ptr<node::Session>& session) { sessions_.remove(session); }

  // From where another run of our own identity has asked us since the last time.
  std::optional<proto::Endpoint> take_twin_call() {
    const std::lock_guard lock(twin_mutex_);
    return std::exchange(twin_caller_, std::nullopt);
  }

  SessionTable& sessions() { return sessions_; }
  StreamRegistry& registry() { return registry_; }
  // Once a second.
  void sweep(std::chrono::steady_clock::time_point now);

 private:
  struct Serving {
    const NodeFacts& facts;
    DeviceThread& device;
  };
  const Serving* serving() const { return serving_ready_.load() ? &*serving_ : nullptr; }
  void connect_next(const OpenRequest& request, const std::shared_ptr<node::Session>& session);

  const proto::PeerId self_;
  const std::uint64_t run_;
  std::mutex twin_mutex_;
  std::optional<proto::Endpoint> twin_caller_;
  net::ChannelPool& channels_;
  std::atomic<proto::NodeState> state_ = proto::NodeState::kJoining;
  std::optional<Serving> serving_;
  std::atomic<bool> serving_ready_ = false;
  SessionTable sessions_;
  StreamRegistry registry_;
};

}  // namespace shoal::node
