// SPDX-License-Identifier: Apache-2.0
#include "client/ring/hop_stream.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <utility>

#include "base/mutex.h"
#include "net/frame_codec.h"
#include "net/frame_queue.h"
#include "net/status.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kSessionMethod = "/shoal.wire.SpanService/Session";
// Unread frames of one hop, in bytes with 64 for each: several steps of results, and never a
// burden.
constexpr std::size_t kMaxUnreadBytes = 8u << 20;

std::size_t weight_of(const wire::HopFrame& frame) { return frame.ByteSizeLong() + 64; }

}  // namespace

class HopStream::Reactor : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Reactor(const std::shared_ptr<grpc::Channel>& channel, std::size_t hop, std::string name,
          std::shared_ptr<HopInbox> inbox)
      : stub_(channel), hop_(hop), name_(std::move(name)), inbox_(std::move(inbox)) {}

  void start(std::shared_ptr<Reactor> self) {
    self_ = std::move(self);
    stub_.PrepareBidiStreamingCall(&context_, kSessionMethod, {}, this);
    AddHold();  // writes and reads are started outside of reactions
    StartRead(&incoming_);
    StartCall();
  }

  void send(wire::ClientFrame frame) {
    grpc::ByteBuffer bytes = net::to_bytes(frame);
    frame.Clear();
    const base::MutexLock lock(mutex_);
    if (!held_ || finishing_) return;
    if (!frames_.push(bytes))
      return give_up(absl::StatusCode::kResourceExhausted, "it does not take what is sent to it");
    pump();
  }

  void consumed(const HopEvent& event) {
    if (event.closed) return;
    const base::MutexLock lock(mutex_);
    unread_bytes_ -= weight_of(event.frame);
    if (paused_ && held_ && unread_bytes_ < kMaxUnreadBytes) {
      paused_ = false;
      StartRead(&incoming_);
    }
  }

  void finish() {
    const base::MutexLock lock(mutex_);
    if (!held_ || finishing_) return;
    finishing_ = true;
    pump();
  }

  void cancel() {
    const base::MutexLock lock(mutex_);
    context_.TryCancel();
    release();  // whatever waits: nobody may be reading
  }

  bool wait_closed(Clock::time_point deadline) {
    const base::MutexLock lock(mutex_);
    while (!done_ && ended_.wait_until(mutex_, deadline)) continue;
    return done_;
  }

  void OnReadDone(bool ok) override {
    HopEvent event;
    event.hop = hop_;
    event.at = Clock::now();
    const bool readable = ok && net::from_bytes(incoming_, event.frame);
    const base::MutexLock lock(mutex_);
    if (!ok) return release();
    if (!readable)
      return give_up(absl::StatusCode::kInternal, "it sent a frame that cannot be read");
    unread_bytes_ += weight_of(event.frame);
    inbox_->put(std::move(event));
    if (unread_bytes_ < kMaxUnreadBytes) {
      StartRead(&incoming_);
    } else {
      paused_ = true;
    }
  }

  void OnWriteDone(bool ok) override {
    const base::MutexLock lock(mutex_);
    frames_.written();
    if (ok) return pump();
    frames_.drop();
    release();
  }

  void OnDone(const grpc::Status& status) override {
    HopEvent event;
    event.hop = hop_;
    event.at = Clock::now();
    const std::shared_ptr<Reactor> self = std::move(self_);  // may be the last to hold it
    const base::MutexLock lock(mutex_);
    event.closed = failure_ ? *failure_ : net::to_absl(status, name_);
    inbox_->put(std::move(event));
    done_ = true;
    ended_.notify_all();
  }

 private:
  void pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!held_) return;
    if (const grpc::ByteBuffer* frame = frames_.next(Clock::now())) return StartWrite(frame);
    if (finishing_ && frames_.idle()) end_writes();
  }

  void end_writes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    StartWritesDone();
    if (paused_) {  // nobody will read on: let the end come
      paused_ = false;
      StartRead(&incoming_);
    }
    release();
  }

  // Ends the stream for a reason of ours.
  void give_up(absl::StatusCode code, const char* reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    failure_ = absl::Status(code, name_ + ": " + reason);
    frames_.drop();
    context_.TryCancel();
    release();
  }

  // After this no operation may be started from outside.
  void release() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!held_) return;
    held_ = false;
    RemoveHold();
  }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  const std::size_t hop_;
  const std::string name_;
  const std::shared_ptr<HopInbox> inbox_;
  std::shared_ptr<Reactor> self_;  // until OnDone

  base::Mutex mutex_;
  base::CondVar ended_;
  net::FrameQueue<net::ByteLimit> frames_ ABSL_GUARDED_BY(mutex_){kMaxUnsentBytes};
  grpc::ByteBuffer incoming_;
  std::size_t unread_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mutex_);  // why we ended it
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  bool held_ ABSL_GUARDED_BY(mutex_) = true;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

HopStream::HopStream(std::shared_ptr<Reactor> reactor) : reactor_(std::move(reactor)) {}
HopStream::~HopStream() = default;

std::shared_ptr<HopStream> HopStream::open(const std::shared_ptr<grpc::Channel>& channel,
                                           std::size_t hop, const std::string& name,
                                           std::shared_ptr<HopInbox> inbox) {
  auto reactor = std::make_shared<Reactor>(channel, hop, name, std::move(inbox));
  reactor->start(reactor);
  return std::shared_ptr<HopStream>(new HopStream(std::move(reactor)));
}

void HopStream::send(wire::ClientFrame frame) { reactor_->send(std::move(frame)); }
void HopStream::consumed(const HopEvent& event) { reactor_->consumed(event); }
void HopStream::finish() { reactor_->finish(); }
void HopStream::cancel() { reactor_->cancel(); }
bool HopStream::wait_closed(Clock::time_point deadline) { return reactor_->wait_closed(deadline); }

void HopInbox::put(HopEvent event) {
  {
    const base::MutexLock lock(mutex_);
    events_.push_back(std::move(event));
  }
  arrived_.notify_all();
}

std::optional<HopEvent> HopInbox::take(Clock::time_point deadline,
                                       const base::StopToken& interrupt) {
  const base::MutexLock lock(mutex_);
  while (events_.empty()) {
    const auto now = Clock::now();
    if (now >= deadline || interrupt.stopped()) return std::nullopt;
    arrived_.wait_until(mutex_, std::min(deadline, now + base::kStopPoll));
  }
  HopEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

}  // namespace shoal::client
