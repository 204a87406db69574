// SPDX-License-Identifier: Apache-2.0
#include "client/ring/hop_stream.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>

#include "net/status.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

// Unread frames of one hop, in bytes with 64 for each: several steps of results, and never a
// burden.
constexpr std::size_t kMaxUnreadBytes = 8u << 20;

std::size_t weight_of(const wire::HopFrame& frame) { return frame.ByteSizeLong() + 64; }

class Reactor : public HopStream,
                public grpc::ClientBidiReactor<wire::ClientFrame, wire::HopFrame> {
 public:
  Reactor(const std::shared_ptr<grpc::Channel>& channel, std::size_t hop, std::string name,
          std::shared_ptr<HopInbox> inbox)
      : stub_(wire::SpanService::NewStub(channel)),
        hop_(hop),
        name_(std::move(name)),
        inbox_(std::move(inbox)) {}

  void start(std::shared_ptr<Reactor> self) {
    self_ = std::move(self);
    stub_->async()->Session(&context_, this);
    AddHold();  // writes and reads are started outside of reactions
    StartRead(&incoming_);
    StartCall();
  }

  void send(wire::ClientFrame frame) override {
    const std::lock_guard lock(mutex_);
    if (!held_ || finishing_) return;
    outgoing_.push_back(std::move(frame));
    if (!writing_) write_front();
  }

  void consumed(const HopEvent& event) override {
    if (event.closed) return;
    const std::lock_guard lock(mutex_);
    unread_bytes_ -= weight_of(event.frame);
    if (paused_ && held_ && unread_bytes_ < kMaxUnreadBytes) {
      paused_ = false;
      StartRead(&incoming_);
    }
  }

  void finish() override {
    const std::lock_guard lock(mutex_);
    if (!held_ || finishing_) return;
    finishing_ = true;
    if (!writing_) end_writes();
  }

  void cancel() override { context_.TryCancel(); }

  bool wait_closed(Clock::time_point deadline) override {
    std::unique_lock lock(mutex_);
    return ended_.wait_until(lock, deadline, [this] { return done_; });
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      const std::lock_guard lock(mutex_);
      release();
      return;
    }
    HopEvent event;
    event.hop = hop_;
    event.at = Clock::now();
    event.frame.Swap(&incoming_);
    const std::lock_guard lock(mutex_);
    unread_bytes_ += weight_of(event.frame);
    inbox_->put(std::move(event));
    if (unread_bytes_ < kMaxUnreadBytes) {
      StartRead(&incoming_);
    } else {
      paused_ = true;
    }
  }

  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    outgoing_.pop_front();
    if (!ok) {
      outgoing_.clear();
      release();
    } else if (!outgoing_.empty()) {
      write_front();
    } else if (finishing_) {
      end_writes();
    }
  }

  void OnDone(const grpc::Status& status) override {
    HopEvent event;
    event.hop = hop_;
    event.at = Clock::now();
    event.closed = net::to_absl(status, name_);
    inbox_->put(std::move(event));
    const std::shared_ptr<Reactor> self = std::move(self_);  // may be the last to hold it
    const std::lock_guard lock(mutex_);
    done_ = true;
    ended_.notify_all();
  }

 private:
  void write_front() {
    if (!held_) return;
    writing_ = true;
    StartWrite(&outgoing_.front());
  }

  void end_writes() {
    if (!held_) return;
    StartWritesDone();
    if (paused_) {  // nobody will read on: let the end come
      paused_ = false;
      StartRead(&incoming_);
    }
    release();
  }

  // After this no operation may be started from outside.
  void release() {
    if (!held_) return;
    held_ = false;
    RemoveHold();
  }

  std::unique_ptr<wire::SpanService::Stub> stub_;
  grpc::ClientContext context_;
  const std::size_t hop_;
  const std::string name_;
  const std::shared_ptr<HopInbox> inbox_;
  std::shared_ptr<Reactor> self_;  // until OnDone

  std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<wire::ClientFrame> outgoing_;  // the front is being written while writing_
  wire::HopFrame incoming_;
  std::size_t unread_bytes_ = 0;
  bool writing_ = false;
  bool paused_ = false;
  bool finishing_ = false;
  bool held_ = true;
  bool done_ = false;
};

}  // namespace

void HopInbox::put(HopEvent event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  arrived_.notify_all();
}

std::optional<HopEvent> HopInbox::take(Clock::time_point deadline,
                                       const base::StopToken& interrupt) {
  std::unique_lock lock(mutex_);
  while (events_.empty()) {
    const auto now = Clock::now();
    if (now >= deadline || interrupt.stopped()) return std::nullopt;
    arrived_.wait_until(lock, std::min(deadline, now + base::kStopPoll));
  }
  HopEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

std::shared_ptr<HopStream> HopStream::open(const std::shared_ptr<grpc::Channel>& channel,
                                           std::size_t hop, std::string name,
                                           std::shared_ptr<HopInbox> inbox) {
  auto reactor = std::make_shared<Reactor>(channel, hop, std::move(name), std::move(inbox));
  reactor->start(reactor);
  return reactor;
}

}  // namespace shoal::client
