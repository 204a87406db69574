// SPDX-License-Identifier: Apache-2.0
#include "node/serve/span_service.h"

#include <utility>

#include "net/caller.h"
#include "net/frame_codec.h"
#include "node/device/device_thread.h"
#include "node/serve/push_reactor.h"
#include "node/serve/replies.h"
#include "node/serve/session_reactor.h"
#include "proto/span_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::node {
namespace {

grpc::Status too_many() {
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "you have too many streams to this node"};
}

// gRPC asks for a reactor even when the answer is no.
template <typename Reactor>
class Refused final : public Reactor {
 public:
  explicit Refused(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

// Session and Push are raw: their reactors parse (net/frame_codec.h).
using PlainSpanService = wire::SpanService::WithCallbackMethod_Describe<
    wire::SpanService::WithCallbackMethod_Manifest<wire::SpanService::WithCallbackMethod_Companions<
        wire::SpanService::WithCallbackMethod_CompanionPiece<wire::SpanService::Service>>>>;
using RawSpanService = wire::SpanService::WithRawCallbackMethod_Session<
    wire::SpanService::WithRawCallbackMethod_Push<PlainSpanService>>;

}  // namespace

class SpanService::Calls final : public RawSpanService {
 public:
  explicit Calls(SpanService& service) : service_(service) {}

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const wire::DescribeRequest* request,
                                     wire::DescribeReply* reply) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    if (const auto refusal = check_version(request->version())) {
      reactor->Finish({static_cast<grpc::StatusCode>(refusal->code), refusal->reason});
      return reactor;
    }
    // Only nodes tell their run, and only to whom they take for their twin.
    if (request->run() != 0 && request->run() != service_.run_) {
      const auto caller = net::caller_of(*context);
      if (caller.ok() && caller->peer == service_.self_) {
        const base::MutexLock lock(service_.twin_mutex_);
        service_.twin_caller_ = caller->address;
      }
    }
    *reply = proto::to_wire(service_.describe());
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* Manifest(grpc::CallbackServerContext* context,
                                     const wire::ManifestRequest* request,
                                     wire::ManifestReply* reply) override {
    return service_.manifest_.answer(*context, *request, *reply);
  }

  grpc::ServerUnaryReactor* Companions(grpc::CallbackServerContext* context,
                                       const wire::CompanionsRequest* request,
                                       wire::CompanionsReply* reply) override {
    return service_.companions_.list(*context, *request, *reply);
  }

  grpc::ServerUnaryReactor* CompanionPiece(grpc::CallbackServerContext* context,
                                           const wire::CompanionPieceRequest* request,
                                           wire::CompanionPieceReply* reply) override {
    return service_.companions_.piece(*context, *request, *reply);
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Session(
      grpc::CallbackServerContext* context) override {
    using Base = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
    const auto caller = net::caller_of(*context);
    if (!caller.ok()) return new Refused<Base>({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
    auto reactor = std::make_shared<SessionReactor>(service_.desk_, *context, *caller);
    if (!service_.desk_.registry().add(StreamKind::kSession, caller->peer, reactor))
      return new Refused<Base>(too_many());
    reactor->start();
    return reactor.get();
  }

  grpc::ServerReadReactor<grpc::ByteBuffer>* Push(grpc::CallbackServerContext* context,
                                                  grpc::ByteBuffer* reply) override {
    using Base = grpc::ServerReadReactor<grpc::ByteBuffer>;
    *reply = net::to_bytes(wire::PushReply());
    const auto caller = net::caller_of(*context);
    if (!caller.ok()) return new Refused<Base>({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
    auto reactor = std::make_shared<PushReactor>(service_.desk_, caller->peer);
    if (!service_.desk_.registry().add(StreamKind::kPushIn, caller->peer, reactor))
      return new Refused<Base>(too_many());
    reactor->start();
    return reactor.get();
  }

 private:
  SpanService& service_;
};

SpanService::SpanService(proto::PeerId self, net::ChannelPool& channels, std::uint64_t run)
    : self_(self), run_(run), desk_(channels), calls_(std::make_unique<Calls>(*this)) {}

SpanService::~SpanService() = default;

grpc::Service& SpanService::calls() { return *calls_; }

void SpanService::end_sessions_on(const Serving& serving, std::string reason) {
  desk_.sessions().fail_on(serving,
                           {.code = absl::StatusCode::kUnavailable, .reason = std::move(reason)});
}

ServiceCounts SpanService::counts() const {
  return {.sessions = desk_.sessions().size(),
          .streams = desk_.registry().size(),
          .outbox = desk_.outbox().stats(),
          .given_way = desk_.sessions().given_way()};
}

void SpanService::end_sessions(std::string reason) { stop(std::move(reason)); }

void SpanService::stop(std::string reason) {
  desk_.sessions().fail_all({.code = absl::StatusCode::kUnavailable, .reason = std::move(reason)});
}

proto::Load SpanService::load() const {
  proto::Load load;
  load.state = state();
  load.moving_to = moving_to_;
  if (const auto serving = desk_.serving()) {
    const DeviceStats stats = serving->device->stats();
    load.block_step_us = stats.block_step_us;
    load.free_kv_positions = static_cast<std::uint32_t>(stats.free_positions);
    load.queue_depth = static_cast<std::uint32_t>(stats.queued_steps);
  }
  return load;
}

proto::Description SpanService::describe() const {
  proto::Description description{.peer = self_, .run = run_, .load = load(), .serving = {}};
  if (const auto serving = desk_.serving()) {
    const NodeFacts& facts = serving->facts;
    const proto::Occupancy occupancy{
        static_cast<std::uint32_t>(desk_.sessions().size()), facts.max_sessions,
        static_cast<std::uint32_t>(serving->device->stats().total_positions)};
    description.serving = {facts.offer,         occupancy,    facts.hidden, facts.max_rows_per_step,
                           facts.max_positions, facts.head_us};
  }
  return description;
}

std::optional<proto::Endpoint> SpanService::take_twin_call() {
  const base::MutexLock lock(twin_mutex_);
  return std::exchange(twin_caller_, std::nullopt);
}

}  // namespace shoal::node
