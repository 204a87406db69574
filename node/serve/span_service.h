// SPDX-License-Identifier: Apache-2.0
// SpanService of proto/span_service.proto: Describe, Manifest, Session, Push. Reactors parse,
// validate and hand over; they never block. Serves no session until serve() is called. Thread-safe.
// Stop the gRPC server before destroying it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>

#include "net/caller.h"
#include "net/channel_pool.h"
#include "node/device/device_thread.h"
#include "node/serve/manifest_desk.h"
#include "node/serve/next_hops.h"
#include "node/serve/node_facts.h"
#include "node/serve/outbox_budget.h"
#include "node/serve/session_table.h"
#include "node/serve/stream_registry.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::node {

// Session and Push are raw: their reactors parse (node/frame_codec.h).
using RawSpanService = wire::SpanService::WithRawCallbackMethod_Session<
    wire::SpanService::WithRawCallbackMethod_Push<wire::SpanService::WithCallbackMethod_Describe<
        wire::SpanService::WithCallbackMethod_Manifest<wire::SpanService::Service>>>>;

class SpanService final : public RawSpanService {
 public:
  // `run` tells this run of our identity from another (node/twin.h); 0: does not tell.
  SpanService(proto::PeerId self, net::ChannelPool& channels, std::uint64_t run = 0)
      : self_(self), run_(run), channels_(channels) {}

  // Once; all must outlive the service's last stream.
  void serve(const NodeFacts& facts, DeviceThread& device, NextHops& next_hops);
  // The served model's manifest, as soon as it is known.
  void offer_manifest(const proto::Digest& digest, std::shared_ptr<const std::string> bytes) {
    manifest_.offer(digest, std::move(bytes));
  }
  void set_state(proto::NodeState state) { state_ = state; }
  proto::NodeState state() const { return state_; }

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const wire::DescribeRequest* request,
                                     wire::DescribeReply* reply) override;
  grpc::ServerUnaryReactor* Manifest(grpc::CallbackServerContext* context,
                                     const wire::ManifestRequest* request,
                                     wire::ManifestReply* reply) override {
    return manifest_.answer(*context, *request, *reply);
  }
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

  // From where another run of our own identity has asked us since the last time.
  std::optional<proto::Endpoint> take_twin_call() {
    const std::lock_guard lock(twin_mutex_);
    return std::exchange(twin_caller_, std::nullopt);
  }

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
  const std::uint64_t run_;
  std::mutex twin_mutex_;
  std::optional<proto::Endpoint> twin_caller_;
  net::ChannelPool& channels_;
  ManifestDesk manifest_;
  std::atomic<proto::NodeState> state_ = proto::NodeState::kJoining;
  std::optional<Serving> serving_;
  std::atomic<bool> serving_ready_ = false;
  OutboxBudget outbox_;
  SessionTable sessions_;
  StreamRegistry registry_;
};

}  // namespace shoal::node
