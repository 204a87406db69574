// SPDX-License-Identifier: Apache-2.0
#include "node/push_stream.h"

#include "net/status.h"

namespace shoal::node {
namespace {

constexpr std::size_t kMaxQueuedSteps = 2 * proto::kMaxStepsInFlight;
// The connection, and then the client's open at the next hop: kConnectTimeoutMs each.
constexpr auto kAcceptTimeout = std::chrono::milliseconds(2 * proto::kConnectTimeoutMs);

}  // namespace

PushStream::PushStream(StreamRegistry& registry, const std::shared_ptr<grpc::Channel>& channel,
                       std::shared_ptr<Session> session)
    : registry_(registry),
      stub_(wire::SpanService::NewStub(channel)),
      session_(std::move(session)),
      deadline_(std::chrono::steady_clock::now() + kAcceptTimeout) {}

void PushStream::start(wire::PushOpen open) {
  {
    const std::lock_guard lock(mutex_);
    if (!ended_) {
      stub_->async()->Push(&context_, &reply_, this);
      AddHold();
      held_ = true;
      wire::PushFrame frame;
      *frame.mutable_open() = std::move(open);
      queue_.push_front(std::move(frame));
      started_ = true;
      pump();
      StartCall();
      return;
    }
    session_.reset();
  }
  registry_.remove(this);  // the session ended before its stream began; may destroy this
}

bool PushStream::send(wire::PushFrame frame) {
  const std::lock_guard lock(mutex_);
  if (ended_ || broken_) return true;  // OnDone tells
  if (queue_.size() >= kMaxQueuedSteps) return false;
  queue_.push_back(std::move(frame));
  pump();
  return true;
}

void PushStream::pump() {
  if (!started_ || writing_ || queue_.empty() || ended_ || broken_) return;
  out_ = std::move(queue_.front());
  queue_.pop_front();
  writing_ = true;
  StartWrite(&out_);
}

void PushStream::drop_hold() {
  if (!std::exchange(held_, false)) return;
  RemoveHold();
}

void PushStream::end() {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  ended_ = true;
  context_.TryCancel();
  drop_hold();
}

void PushStream::OnReadInitialMetadataDone(bool ok) {
  const std::lock_guard lock(mutex_);
  accepted_ = ok;
  if (ok) return;
  broken_ = true;
  drop_hold();
}

void PushStream::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  if (ok) return pump();
  broken_ = true;
  drop_hold();
}

void PushStream::sweep(std::chrono::steady_clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (accepted_ || ended_ || broken_ || now < deadline_) return;
  late_ = true;
  broken_ = true;
  context_.TryCancel();
  drop_hold();
}

void PushStream::OnDone(const grpc::Status& status) {
  std::shared_ptr<Session> session;
  bool ended = false;
  {
    const std::lock_guard lock(mutex_);
    session = std::move(session_);
    ended = ended_;
  }
  if (!ended) {
    session->next_failed(absl::StatusCode::kUnavailable,
                         late_         ? "does not accept our push within 10 s"
                         : status.ok() ? "has ended the stream"
                                       : std::string(net::to_absl(status, "").message()));
  }
  session.reset();
  registry_.remove(this);  // destroys this
}

}  // namespace shoal::node
