// SPDX-License-Identifier: Apache-2.0
#include "node/serve/session_reactor.h"

#include "net/frame_codec.h"
#include "node/serve/replies.h"
#include "node/serve/session_desk.h"

namespace shoal::node {
namespace {

constexpr auto kPeerTimeout = std::chrono::milliseconds(proto::kConnectTimeoutMs);
constexpr const char* kUnread = "you do not read what this node answers";

}  // namespace

SessionReactor::SessionReactor(SessionDesk& desk, grpc::CallbackServerContext& context,
                               net::Caller client)
    : desk_(desk),
      context_(context),
      client_(client),
      frames_(desk.outbox(), client.peer),
      deadline_(Clock::now() + kPeerTimeout) {}

void SessionReactor::start() {
  account_.set_outlet(weak_from_this());
  StartRead(&in_);
}

std::shared_ptr<Session> SessionReactor::session() const {
  const base::MutexLock lock(mutex_);
  return session_;
}

void SessionReactor::fail(absl::StatusCode code, const std::string& reason) {
  Refusal refusal{.code = code, .reason = reason};
  if (const auto session = this->session()) return session->fail(std::move(refusal));
  end(std::move(refusal));
}

void SessionReactor::OnReadDone(bool ok) {
  if (!ok) {  // the client has closed its side, or is gone
    const auto session = this->session();
    if (session == nullptr) {
      return fail(absl::StatusCode::kInvalidArgument, "the stream ended before an open frame");
    }
    session->close();
    return end(std::nullopt);
  }
  {
    wire::ClientFrame frame;
    if (!net::from_bytes(in_, frame)) {
      return fail(absl::StatusCode::kInvalidArgument, "a frame of this stream cannot be read");
    }
    on_frame(frame);
  }
  {
    const base::MutexLock lock(mutex_);
    paused_ = true;
  }
  resume();
}

void SessionReactor::resume() {
  std::shared_ptr<Session> session;
  {
    const base::MutexLock lock(mutex_);
    if (!paused_ || ending_) return;
    session = session_;
  }
  if (session != nullptr && !session->wants_more_of_client()) return;
  const base::MutexLock lock(mutex_);
  if (ending_ || !std::exchange(paused_, false)) return;
  StartRead(&in_);
}

void SessionReactor::on_frame(const wire::ClientFrame& frame) {
  const auto session = this->session();
  switch (frame.frame_case()) {
    case wire::ClientFrame::kOpen:
      if (session == nullptr) return open(frame.open());
      return session->fail(
          {.code = absl::StatusCode::kInvalidArgument, .reason = "a session opens once"});
    case wire::ClientFrame::kStep:
      if (session != nullptr) return session->step(frame.step());
      break;
    case wire::ClientFrame::kHeartbeat:
      if (session != nullptr) return session->heartbeat(frame.heartbeat().nonce());
      break;
    case wire::ClientFrame::kKeep:
      if (session != nullptr) return session->keep(frame.keep());
      break;
    case wire::ClientFrame::FRAME_NOT_SET:
      if (session != nullptr) return;  // a frame of a later minor version
      break;
  }
  fail(absl::StatusCode::kInvalidArgument, "the first frame must be open");
}

void SessionReactor::open(const wire::Open& message) {
  auto opened = desk_.open(message, client_, shared_from_this());
  if (auto* refusal = std::get_if<Refusal>(&opened)) return end(std::move(*refusal));
  auto session = std::get<std::shared_ptr<Session>>(std::move(opened));
  bool ended = false;
  {
    const base::MutexLock lock(mutex_);
    session_ = session;
    ended = ending_;
  }
  if (ended) return session->close();  // cancelled meanwhile
  desk_.publish(session);
}

void SessionReactor::send(wire::HopFrame frame) {
  grpc::ByteBuffer bytes = net::to_bytes(frame);
  frame.Clear();
  std::shared_ptr<Outlet> victim;
  {
    const base::MutexLock lock(mutex_);
    if (ending_) return;
    victim = frames_.push(bytes);
    pump();
  }
  if (victim) victim->overflow(kUnread);
}

void SessionReactor::overflow(const std::string& reason) {
  {
    const base::MutexLock lock(mutex_);
    frames_.drop();
  }
  fail(absl::StatusCode::kResourceExhausted, reason);
}

void SessionReactor::end(std::optional<Refusal> refusal) {
  const base::MutexLock lock(mutex_);
  if (ending_) return;
  ending_ = true;
  deadline_ = Clock::now() + kPeerTimeout;
  if (refusal) {
    wire::HopFrame frame;
    *frame.mutable_failure() = to_failure(*refusal);
    status_ = grpc::Status(static_cast<grpc::StatusCode>(refusal->code), frame.failure().reason());
    frames_.push_unjudged(net::to_bytes(frame));
  }
  pump();
}

void SessionReactor::pump() {
  if (finished_) return;
  if (const grpc::ByteBuffer* frame = frames_.next(Clock::now())) return StartWrite(frame);
  if (!ending_ || !frames_.idle()) return;
  finished_ = true;
  Finish(status_);
}

void SessionReactor::OnWriteDone(bool ok) {
  const base::MutexLock lock(mutex_);
  frames_.written();
  if (!ok) frames_.drop();  // the stream is broken: OnCancel or OnReadDone says so
  pump();
}

void SessionReactor::OnCancel() {
  if (const auto session = this->session()) session->close();
  end(std::nullopt);
}

void SessionReactor::sweep(Clock::time_point now) {
  resume();
  bool stuck = false;
  {
    const base::MutexLock lock(mutex_);
    stuck = !ending_ && frames_.stuck(now, std::chrono::milliseconds(proto::kStuckWriteMs));
    if (!stuck) {
      if (now < deadline_ || (session_ != nullptr && !ending_)) return;
      if (ending_) {
        if (!finished_) context_.TryCancel();  // does not read what we last wrote
        return;
      }
    }
  }
  if (stuck) return overflow(kUnread);
  end(Refusal{.code = absl::StatusCode::kDeadlineExceeded, .reason = "no open frame within 5 s"});
}

void SessionReactor::OnDone() {
  if (const auto session = this->session()) {
    session->close();
    desk_.remove(session);
  }
  desk_.registry().remove(this);  // destroys this
}

}  // namespace shoal::node
