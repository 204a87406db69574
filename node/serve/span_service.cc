// SPDX-License-Identifier: Apache-2.0
#include "node/serve/span_service.h"

#include "net/caller.h"
#include "net/frame_codec.h"
#include "node/device/device_thread.h"
#include "node/serve/push_reactor.h"
#include "node/serve/replies.h"
#include "node/serve/session_reactor.h"
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

}  // namespace

void SpanService::serve(const NodeFacts& facts, DeviceThread& device, NextHops& next_hops) {
  desk_.serve({facts, device, next_hops});
}

ServiceCounts SpanService::counts() const {
  return {.sessions = desk_.sessions().size(),
          .streams = desk_.registry().size(),
          .outbox = desk_.outbox().stats(),
          .given_way = desk_.sessions().given_way()};
}

void SpanService::stop(std::string reason) {
  desk_.sessions().fail_all({.code = absl::StatusCode::kUnavailable, .reason = std::move(reason)});
}

proto::Load SpanService::load() const {
  proto::Load load;
  load.state = state();
  if (const SessionDesk::Serving* serving = desk_.serving()) {
    const DeviceStats stats = serving->device.stats();
    load.block_step_us = stats.block_step_us;
    load.free_kv_positions = static_cast<std::uint32_t>(stats.free_positions);
    load.queue_depth = static_cast<std::uint32_t>(stats.queued_steps);
  }
  return load;
}

proto::Description SpanService::describe() const {
  proto::Description description{self_, run_, load(), std::nullopt};
  if (const SessionDesk::Serving* serving = desk_.serving()) {
    const NodeFacts& facts = serving->facts;
    const proto::Occupancy occupancy{
        static_cast<std::uint32_t>(desk_.sessions().size()), facts.max_sessions,
        static_cast<std::uint32_t>(serving->device.stats().total_positions)};
    description.serving = {facts.offer, occupancy, facts.hidden, facts.max_rows_per_step,
                           facts.max_positions};
  }
  return description;
}

grpc::ServerUnaryReactor* SpanService::Describe(grpc::CallbackServerContext* context,
                                                const wire::DescribeRequest* request,
                                                wire::DescribeReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (const auto refusal = check_version(request->version())) {
    reactor->Finish({static_cast<grpc::StatusCode>(refusal->code), refusal->reason});
    return reactor;
  }
  // Only nodes tell their run, and only to whom they take for their twin.
  if (request->run() != 0 && request->run() != run_) {
    const auto caller = net::caller_of(*context);
    if (caller.ok() && caller->peer == self_) {
      const base::MutexLock lock(twin_mutex_);
      twin_caller_ = caller->address;
    }
  }
  *reply = proto::to_wire(describe());
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* SpanService::Session(
    grpc::CallbackServerContext* context) {
  using Base = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
  const auto caller = net::caller_of(*context);
  if (!caller.ok()) return new Refused<Base>({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
  auto reactor = std::make_shared<SessionReactor>(desk_, *context, *caller);
  if (!desk_.registry().add(StreamKind::kSession, caller->peer, reactor))
    return new Refused<Base>(too_many());
  reactor->start();
  return reactor.get();
}

grpc::ServerReadReactor<grpc::ByteBuffer>* SpanService::Push(grpc::CallbackServerContext* context,
                                                             grpc::ByteBuffer* reply) {
  using Base = grpc::ServerReadReactor<grpc::ByteBuffer>;
  *reply = net::to_bytes(wire::PushReply());
  const auto caller = net::caller_of(*context);
  if (!caller.ok()) return new Refused<Base>({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
  auto reactor = std::make_shared<PushReactor>(desk_, caller->peer);
  if (!desk_.registry().add(StreamKind::kPushIn, caller->peer, reactor))
    return new Refused<Base>(too_many());
  reactor->start();
  return reactor.get();
}

}  // namespace shoal::node
