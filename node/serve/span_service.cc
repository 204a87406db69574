// SPDX-License-Identifier: Apache-2.0
#include "node/serve/span_service.h"

#include "net/caller.h"
#include "node/serve/frame_codec.h"
#include "node/serve/push_reactor.h"
#include "node/serve/push_stream.h"
#include "node/serve/session_reactor.h"
#include "proto/version.h"

namespace shoal::node {
namespace {

// The next hop's session has ended, and its client hears of it there; longer than a client waits
// for all that its hops say.
constexpr std::chrono::milliseconds kEndedPatience{500};

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
  serving_.emplace(Serving{facts, device, next_hops});
  serving_ready_ = true;
}

proto::Load SpanService::load() const {
  proto::Load load;
  load.state = state();
  if (const Serving* serving = this->serving()) {
    const DeviceStats stats = serving->device.stats();
    load.block_step_us = stats.block_step_us;
    load.free_kv_positions = static_cast<std::uint32_t>(stats.free_positions);
    load.queue_depth = static_cast<std::uint32_t>(stats.queued_steps);
  }
  return load;
}

proto::Description SpanService::describe() const {
  proto::Description description{self_, run_, load(), std::nullopt};
  if (const Serving* serving = this->serving()) {
    const NodeFacts& facts = serving->facts;
    const proto::Occupancy occupancy{
        static_cast<std::uint32_t>(sessions_.size()), facts.max_sessions,
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
      const std::lock_guard lock(twin_mutex_);
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
  auto reactor = std::make_shared<SessionReactor>(*this, *context, *caller);
  if (!registry_.add(StreamKind::kSession, caller->peer, reactor))
    return new Refused<Base>(too_many());
  reactor->start();
  return reactor.get();
}

grpc::ServerReadReactor<grpc::ByteBuffer>* SpanService::Push(grpc::CallbackServerContext* context,
                                                             grpc::ByteBuffer* reply) {
  using Base = grpc::ServerReadReactor<grpc::ByteBuffer>;
  *reply = to_bytes(wire::PushReply());
  const auto caller = net::caller_of(*context);
  if (!caller.ok()) return new Refused<Base>({grpc::StatusCode::UNAUTHENTICATED, "who are you?"});
  auto reactor = std::make_shared<PushReactor>(*this, caller->peer);
  if (!registry_.add(StreamKind::kPushIn, caller->peer, reactor))
    return new Refused<Base>(too_many());
  reactor->start();
  return reactor.get();
}

std::variant<std::shared_ptr<node::Session>, Refusal> SpanService::open_session(
    const wire::Open& open, const net::Caller& client, const std::shared_ptr<ClientLink>& link) {
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
  auto opened = sessions_.open(serving->facts, serving->device, request, client.peer,
                               network_of(client.address), link);
  if (auto* session = std::get_if<std::shared_ptr<node::Session>>(&opened)) {
    connect_next(request, client, *session);
    wire::HopFrame frame;
    wire::Welcome& welcome = *frame.mutable_welcome();
    *welcome.mutable_version() = proto::our_version();
    welcome.mutable_span()->set_begin(request.span.begin);
    welcome.mutable_span()->set_end(request.span.end);
    welcome.set_max_positions(request.max_positions);
    welcome.set_max_rows_per_step(serving->facts.max_rows_per_step);
    welcome.set_idle_timeout_ms(proto::kSessionIdleTimeoutMs);
    link->send(std::move(frame));
  }
  return opened;
}

void SpanService::connect_next(const OpenRequest& request, const net::Caller& client,
                               const std::shared_ptr<node::Session>& session) {
  if (!request.next) return;
  const proto::PeerId peer = request.next->peer;
  auto stream = PushStream::create(registry_, outbox_, session);
  if (!registry_.add(StreamKind::kPushOut, peer, stream)) {
    return session->next_failed(absl::StatusCode::kUnavailable,
                                "has too many streams from this node");
  }
  session->set_next(stream);
  wire::PushOpen open;
  *open.mutable_version() = proto::our_version();
  open.set_session_id(request.session_id.to_bytes());
  open.set_hop_token(request.next->token.to_bytes());

  NextHops& hops = serving()->next_hops;
  const NextHopBook::Question question{client.peer, client.address, peer, request.span.end};
  const auto asked = std::chrono::steady_clock::now();
  const std::weak_ptr<PushStream> waiting = stream;
  hops.ask(question, [this, &hops, waiting, question, open](const NextHops::Found& found) {
    const auto stream = waiting.lock();
    if (stream == nullptr || found.addresses.empty()) return;
    const auto reached = [this, &hops, peer = question.next] {
      const auto address = channels_.connected_address(peer);
      if (address) hops.worked(peer, *address);
      return address.has_value();
    };
    const auto later = [&hops](std::function<void()> tell) {
      hops.at(std::chrono::steady_clock::now() + kEndedPatience, std::move(tell));
    };
    stream->start(channels_.get(question.next, found.addresses), open, found.proven, reached,
                  later);
  });
  hops.at(asked + std::chrono::milliseconds(proto::kNextHopAnswerMs), [&hops, waiting, question] {
    const auto stream = waiting.lock();
    if (stream != nullptr && stream->judge()) hops.failed(question);
  });
}

void SpanService::sweep(std::chrono::steady_clock::time_point now) {
  registry_.sweep(now);
  sessions_.sweep(now);
  if (const Serving* serving = this->serving()) serving->device.return_memory();
}

}  // namespace shoal::node
