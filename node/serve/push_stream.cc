// SPDX-License-Identifier: Apache-2.0
#include "node/serve/push_stream.h"

#include "net/frame_codec.h"
#include "net/status.h"
#include "proto/span_service.pb.h"

namespace shoal::node {
namespace {

constexpr const char* kPushMethod = "/shoal.wire.SpanService/Push";
// The connection, and then the client's open at the next hop: kConnectTimeoutMs each.
constexpr auto kAcceptTimeout = std::chrono::milliseconds(2 * proto::kConnectTimeoutMs);
constexpr const char* kTooSlow = "takes steps more slowly than they are made";
// One answer, whatever happened: no record, nothing there, no answer, somebody else.
constexpr const char* kUnreached =
    "this node does not reach it at an address that its record announces";

}  // namespace

PushStream::PushStream(StreamRegistry& registry, OutboxBudget& budget,
                       std::shared_ptr<Session> session)
    : registry_(registry),
      frames_(budget, session->client()),
      session_(std::move(session)),
      deadline_(Clock::now() + kAcceptTimeout) {}

std::shared_ptr<PushStream> PushStream::create(StreamRegistry& registry, OutboxBudget& budget,
                                               std::shared_ptr<Session> session) {
  std::shared_ptr<PushStream> stream(new PushStream(registry, budget, std::move(session)));
  stream->account_.set_outlet(stream);
  return stream;
}

void PushStream::start(const std::shared_ptr<grpc::Channel>& channel, const wire::PushOpen& open,
                       bool proven, Reached reached, Later later) {
  wire::PushFrame frame;
  *frame.mutable_open() = open;
  grpc::ByteBuffer bytes = net::to_bytes(frame);
  const base::MutexLock lock(mutex_);
  if (ended_ || broken_ || done_) return;
  proven_ = proven;
  reached_ = std::move(reached);
  later_ = std::move(later);
  stub_.emplace(channel);
  stub_->PrepareBidiStreamingCall(&context_, kPushMethod, {}, this);
  AddHold();
  held_ = true;
  frames_.push_first(bytes);
  started_ = true;
  pump();
  StartRead(&reply_);
  StartCall();
}

bool PushStream::judge() {
  std::shared_ptr<Session> session;
  {
    const base::MutexLock lock(mutex_);
    if (ended_ || accepted_) return false;
    // Else OnDone and sweep() see to it.
    if (started_ && !done_ && !broken_ && reached_()) return false;
    session = session_;
  }
  if (session) session->next_failed(absl::StatusCode::kUnavailable, kUnreached);
  return true;
}

void PushStream::send(wire::PushFrame frame) {
  grpc::ByteBuffer bytes = net::to_bytes(frame);
  frame.Clear();
  std::shared_ptr<Outlet> victim;
  {
    const base::MutexLock lock(mutex_);
    if (ended_ || broken_ || done_) return;  // OnDone or judge() tells
    victim = frames_.push(bytes);
    pump();
  }
  if (victim) victim->overflow(kTooSlow);
}

void PushStream::overflow(const std::string& /*reason*/) {
  std::shared_ptr<Session> session;
  {
    const base::MutexLock lock(mutex_);
    session = session_;
    frames_.drop();
  }
  if (session) session->next_failed(absl::StatusCode::kUnavailable, kTooSlow);
}

void PushStream::pump() {
  if (!started_ || ended_ || broken_) return;
  if (const grpc::ByteBuffer* frame = frames_.next(Clock::now())) StartWrite(frame);
}

void PushStream::break_off() {
  frames_.drop();
  if (!std::exchange(held_, false)) return;
  RemoveHold();
}

void PushStream::end() {
  std::shared_ptr<Session> session;  // may be the last of it: not under the lock
  bool never_began = false;
  {
    const base::MutexLock lock(mutex_);
    if (ended_) return;
    ended_ = true;
    session = std::move(session_);
    never_began = !started_;
    if (started_ && !done_) context_.TryCancel();
    break_off();
  }
  if (never_began) registry_.remove(this);
}

void PushStream::OnReadInitialMetadataDone(bool ok) {
  const base::MutexLock lock(mutex_);
  accepted_ = ok;
  if (ok) {
    reached_();  // so that it is known from now on
    return;
  }
  broken_ = true;
  break_off();
}

// The answer to a push is its end: it is noticed when it comes, not with the next step.
void PushStream::OnReadDone(bool /*ok*/) {
  const base::MutexLock lock(mutex_);
  broken_ = true;
  break_off();
}

void PushStream::OnWriteDone(bool ok) {
  std::shared_ptr<Session> session;
  {
    const base::MutexLock lock(mutex_);
    frames_.written();
    if (!ok) {
      broken_ = true;
      return break_off();
    }
    pump();
    session = session_;
  }
  if (session) session->next_took();
}

void PushStream::sweep(Clock::time_point now) {
  bool stuck = false;
  {
    const base::MutexLock lock(mutex_);
    if (!started_ || ended_ || broken_) return;
    stuck = accepted_ && frames_.stuck(now, std::chrono::milliseconds(proto::kStuckWriteMs));
    if (!stuck) {
      if (accepted_ || now < deadline_) return;
      late_ = true;
      broken_ = true;
      context_.TryCancel();
      return break_off();
    }
  }
  overflow(kTooSlow);
}

void PushStream::OnDone(const grpc::Status& status) {
  std::shared_ptr<Session> session;
  bool late = false;
  {
    const base::MutexLock lock(mutex_);
    done_ = true;
    late = late_;
    frames_.drop();
    // Of a peer that we never reached judge() tells, at its time.
    if (!ended_ && (accepted_ || proven_ || late_ || reached_())) session = std::move(session_);
  }
  if (session != nullptr) {
    std::string reason = late          ? "does not accept our push within 10 s"
                         : status.ok() ? "has ended the stream"
                                       : std::string(net::to_absl(status, "").message());
    const auto tell = [weak = std::weak_ptr(session), reason = std::move(reason)] {
      if (const auto alive = weak.lock())
        alive->next_failed(absl::StatusCode::kUnavailable, reason);
    };
    // Its session has ended: it tells the client why, and we only if the client goes on with us.
    if (status.error_code() == grpc::StatusCode::ABORTED) {
      later_(tell);
    } else {
      tell();
    }
  }
  session.reset();
  registry_.remove(this);  // may destroy this
}

}  // namespace shoal::node
