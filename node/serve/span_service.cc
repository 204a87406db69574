// SPDX-License-Identifier: Apache-2.0
#include "node/serve/span_service.h"

#include "net/caller.h"
#include "net/frame_codec.h"
#include "node/device/device_thread.h"
#include "node/serve/push_reactor.h"
#include "node/serve/replies.h"
#include "node/serve/session_reactor.h"

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

ServiceLoad SpanService::load() const {
  return {.sessions = desk_.sessions().size(),
          .streams = desk_.registry().size(),
          .outbox = desk_.outbox().stats(),
          .given_way = desk_.sessions().given_way()};
}

void SpanService::stop(std::string reason) {
  desk_.sessions().fail_all({.code = absl::StatusCode::kUnavailable, .reason = std::move(reason)});
}

grpc::ServerUnaryReactor* SpanService::Describe(grpc::CallbackServerContext* context,
                                                const wire::DescribeRequest* request,
                                                wire::DescribeReply* reply) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (const auto refusal = check_version(request->version())) {
    reactor->Finish({static_cast<grpc::StatusCode>(refusal->code), refusal->reason});
    return reactor;
  }
  *reply->mutable_version() = our_version();
  reply->set_peer_id(self_.to_bytes());
  reply->set_run(run_);
  // Only nodes tell their run, and only to whom they take for their twin.
  if (request->run() != 0 && request->run() != run_) {
    const auto caller = net::caller_of(*context);
    if (caller.ok() && caller->peer == self_) {
      const std::lock_guard lock(twin_mutex_);
      twin_caller_ = caller->address;
    }
  }
  reply->set_state(static_cast<std::uint32_t>(state()));
  if (const SessionDesk::Serving* serving = desk_.serving()) {
    const NodeFacts& facts = serving->facts;
    const DeviceStats load = serving->device.stats();
    reply->set_public_name(facts.public_name);
    reply->set_model_name(facts.model_name);
    reply->set_model_digest(facts.model_digest.to_bytes());
    reply->set_block_count(facts.block_count);
    reply->mutable_span()->set_begin(facts.span.begin);
    reply->mutable_span()->set_end(facts.span.end);
    reply->set_hidden(facts.hidden);
    reply->set_compute(facts.compute);
    reply->set_max_rows_per_step(facts.max_rows_per_step);
    reply->set_max_positions(facts.max_positions);
    reply->set_free_kv_positions(static_cast<std::uint32_t>(load.free_positions));
    reply->set_total_kv_positions(static_cast<std::uint32_t>(load.total_positions));
    reply->set_sessions(static_cast<std::uint32_t>(desk_.sessions().size()));
    reply->set_max_sessions(facts.max_sessions);
    reply->set_queue_depth(static_cast<std::uint32_t>(load.queued_steps));
    reply->set_block_step_us(load.block_step_us);
    for (const wire::Codec codec : {wire::CODEC_F32, wire::CODEC_BF16, wire::CODEC_F16}) {
      reply->add_codecs(codec);
    }
  }
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
