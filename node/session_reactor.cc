// SPDX-License-Identifier: Apache-2.0
#include "node/session_reactor.h"

#include "node/span_service.h"

namespace shoal::node {
namespace {

// Answers that a client may leave unread: acknowledgements and results of all its steps in flight,
// and some heartbeats.
constexpr std::size_t kMaxQueuedAnswers = 4 * proto::kMaxStepsInFlight;
constexpr std::size_t kMaxQueuedBytes = 32u << 20;
constexpr auto kPeerTimeout = std::chrono::milliseconds(proto::kConnectTimeoutMs);

}  // namespace

SessionReactor::SessionReactor(SpanService& service, grpc::CallbackServerContext& context,
                               proto::PeerId client)
    : service_(service),
      context_(context),
      client_(client),
      deadline_(Clock::now() + kPeerTimeout) {}

void SessionReactor::start() { StartRead(&in_); }

void SessionReactor::refuse(Refusal refusal) { end(std::move(refusal)); }

std::shared_ptr<Session> SessionReactor::session() const {
  const std::lock_guard lock(mutex_);
  return session_;
}

void SessionReactor::OnReadDone(bool ok) {
  if (!ok) {  // the client has closed its side, or is gone
    if (const auto session = this->session()) session->close();
    end(std::nullopt);
    return;
  }
  on_frame();
  const std::lock_guard lock(mutex_);
  if (!ending_) StartRead(&in_);
}

void SessionReactor::on_frame() {
  const auto session = this->session();
  switch (in_.frame_case()) {
    case wire::ClientFrame::kOpen:
      if (session == nullptr) return open(in_.open());
      return session->fail(
          {.code = absl::StatusCode::kInvalidArgument, .reason = "a session opens once"});
    case wire::ClientFrame::kStep:
      if (session != nullptr) return session->step(in_.step());
      break;
    case wire::ClientFrame::kHeartbeat:
      if (session != nullptr) return session->heartbeat(in_.heartbeat().nonce());
      break;
    case wire::ClientFrame::FRAME_NOT_SET:
      if (session != nullptr) return;  // a frame of a later minor version
      break;
  }
  end(Refusal{.code = absl::StatusCode::kInvalidArgument,
              .reason = "the first frame must be open"});
}

void SessionReactor::open(const wire::Open& message) {
  auto opened = service_.open_session(message, client_, shared_from_this());
  if (auto* refusal = std::get_if<Refusal>(&opened)) return end(std::move(*refusal));
  auto session = std::get<std::shared_ptr<Session>>(std::move(opened));
  bool ended = false;
  {
    const std::lock_guard lock(mutex_);
    session_ = session;
    ended = ending_;
  }
  if (ended) return session->close();  // cancelled meanwhile
  service_.publish_session(session);
}

void SessionReactor::send(wire::HopFrame frame) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  if (queue_.size() >= kMaxQueuedAnswers || queued_bytes_ >= kMaxQueuedBytes) {
    context_.TryCancel();  // it does not read: nothing that we write would reach it
    return;
  }
  queued_bytes_ += frame.ByteSizeLong();
  queue_.push_back(std::move(frame));
  pump();
}

void SessionReactor::end(std::optional<Refusal> refusal) {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  ending_ = true;
  deadline_ = Clock::now() + kPeerTimeout;
  if (refusal) {
    wire::HopFrame frame;
    *frame.mutable_failure() = to_failure(*refusal);
    status_ = grpc::Status(static_cast<grpc::StatusCode>(refusal->code), frame.failure().reason());
    queue_.push_back(std::move(frame));
  }
  pump();
}

void SessionReactor::pump() {
  if (writing_ || finished_) return;
  if (!queue_.empty()) {
    out_ = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= std::min(queued_bytes_, out_.ByteSizeLong());
    writing_ = true;
    StartWrite(&out_);
    return;
  }
  if (!ending_) return;
  finished_ = true;
  Finish(status_);
}

void SessionReactor::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  if (!ok) queue_.clear();  // the stream is broken: OnCancel or OnReadDone says so
  pump();
}

void SessionReactor::OnCancel() {
  if (const auto session = this->session()) session->close();
  end(std::nullopt);
}

void SessionReactor::sweep(Clock::time_point now) {
  {
    const std::lock_guard lock(mutex_);
    if (now < deadline_ || (session_ != nullptr && !ending_)) return;
    if (ending_) {
      if (!finished_) context_.TryCancel();  // does not read what we last wrote
      return;
    }
  }
  end(Refusal{.code = absl::StatusCode::kDeadlineExceeded, .reason = "no open frame within 5 s"});
}

void SessionReactor::OnDone() {
  if (const auto session = this->session()) {
    session->close();
    service_.remove_session(session);
  }
  service_.registry().remove(this);  // destroys this
}

}  // namespace shoal::node
