// SPDX-License-Identifier: Apache-2.0
#include "node/span_service.h"

#include "net/caller.h"
#include "node/push_reactor.h"
#include "node/push_stream.h"
#include "node/session_reactor.h"

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

wire::Version our_version() {
  wire::Version version;
  version.set_major(proto::kProtocolMajor);
  version.set_minor(proto::kProtocolMinor);
  return version;
}

}  // namespace

void SpanService::serve(const NodeFacts& facts, DeviceThread& device) {
  serving_.emplace(Serving{facts, device});
  serving_ready_ = true;
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
  reply->set_state(static_cast<std::uint32_t>(state()));
  if (const Serving* serving = this->serving()) {
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
    reply->set_sessions(static_cast<std::uint32_t>(sessions_.size()));
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

grpc::ServerBidiReactor<wire::ClientFrame, wire::HopFrame>* SpanService::Session(
    grpc::CallbackServerContext* context) {
  using Base = grpc::ServerBidiReactor<wire::ClientFrame, wire::HopFrame>;
  const auto caller = net::caller_of(*context);
  if (!caller.ok()) return new Refused<Base>({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
  auto reactor = std::make_shared<SessionReactor>(*this, *context, caller->peer);
  if (!registry_.add(StreamKind::kSession, caller->peer, reactor))
    return new Refused<Base>(too_many());
  reactor->start();
  return reactor.get();
}

grpc::ServerReadReactor<wire::PushFrame>* SpanService::Push(grpc::CallbackServerContext* context,
                                                            wire::PushReply* /*reply*/) {
  using Base = grpc::ServerReadReactor<wire::PushFrame>;
  const auto caller = net::caller_of(*context);
  if (!caller.ok()) return new Refused<Base>({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
  auto reactor = std::make_shared<PushReactor>(*this, caller->peer);
  if (!registry_.add(StreamKind::kPushIn, caller->peer, reactor))
    return new Refused<Base>(too_many());
  reactor->start();
  return reactor.get();
}

std::variant<std::shared_ptr<node::Session>, Refusal> SpanService::open_session(
    const wire::Open& open, const proto::PeerId& client, const std::shared_ptr<ClientLink>& link) {
  const Serving* serving = this->serving();
  if (serving == nullptr) {
    if (const auto refusal = check_version(open.version())) return *refusal;
    return Refusal{.code = absl::StatusCode::kUnavailable,
                   .reason = "this node is still joining the swarm",
                   .retry_after_ms = 1'000};
  }
  auto parsed = parse_open(serving->facts, open);
  if (auto* refusal = std::get_if<Refusal>(&parsed)) return std::move(*refusal);
  const OpenRequest& request = std::get<OpenRequest>(parsed);
  auto opened = sessions_.open(serving->facts, serving->device, request, client, link);
  if (auto* session = std::get_if<std::shared_ptr<node::Session>>(&opened)) {
    connect_next(request, *session);
    wire::HopFrame frame;
    wire::Welcome& welcome = *frame.mutable_welcome();
    *welcome.mutable_version() = our_version();
    welcome.mutable_span()->set_begin(request.span.begin);
    welcome.mutable_span()->set_end(request.span.end);
    welcome.set_max_positions(request.max_positions);
    welcome.set_max_rows_per_step(serving->facts.max_rows_per_step);
    welcome.set_idle_timeout_ms(proto::kSessionIdleTimeoutMs);
    link->send(std::move(frame));
  }
  return opened;
}

void SpanService::connect_next(const OpenRequest& request,
                               const std::shared_ptr<node::Session>& session) {
  if (!request.next) return;
  const NextHop& next = *request.next;
  const std::shared_ptr<grpc::Channel> channel = channels_.get(next.peer, {next.address});
  auto stream = std::make_shared<PushStream>(registry_, channel, session);
  session->set_next(stream);
  if (!registry_.add(StreamKind::kPushOut, next.peer, stream)) {
    return session->next_failed(absl::StatusCode::kUnavailable,
                                "has too many streams from this node");
  }
  wire::PushOpen open;
  *open.mutable_version() = our_version();
  open.set_session_id(request.session_id.to_bytes());
  open.set_hop_token(next.token.to_bytes());
  stream->start(std::move(open));
}

void SpanService::sweep(std::chrono::steady_clock::time_point now) {
  registry_.sweep(now);
  sessions_.sweep(now);
}

}  // namespace shoal::node
