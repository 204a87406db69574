// SPDX-License-Identifier: Apache-2.0
// One Session stream to one hop, and the inbox where the streams of a session meet. gRPC's threads
// bring events in, the session's thread takes them out; both classes are thread-safe. A stream
// lives until gRPC has let go of it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/stop_token.h"
#include "proto/span_service.pb.h"

namespace grpc {
class Channel;
}

namespace shoal::client {

class HopStream;

struct HopEvent {
  std::size_t hop = 0;
  std::chrono::steady_clock::time_point at;
  wire::HopFrame frame;                // when not closed
  std::optional<absl::Status> closed;  // the last event of a stream
};

class HopInbox {
 public:
  void put(HopEvent event);
  // nullopt at `deadline`, and at an interrupt.
  std::optional<HopEvent> take(std::chrono::steady_clock::time_point deadline,
                               const base::StopToken& interrupt);

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<HopEvent> events_;
};

class HopStream {
 public:
  // Starts the call; never blocks. Events carry `hop` and go to `inbox`; `name` begins the texts of
  // errors.
  static std::shared_ptr<HopStream> open(const std::shared_ptr<grpc::Channel>& channel,
                                         std::size_t hop, std::string name,
                                         std::shared_ptr<HopInbox> inbox);
  virtual ~HopStream() = default;

  virtual void send(wire::ClientFrame frame) = 0;  // in order; dropped after the end of the stream
  // An event has been worked off: the stream may read on. Bounds what a hop can pile up here.
  virtual void consumed(const HopEvent& event) = 0;
  virtual void finish() = 0;  // half-close after what has been sent
  virtual void cancel() = 0;
  // False when the stream has not ended by `deadline`.
  virtual bool wait_closed(std::chrono::steady_clock::time_point deadline) = 0;
};

}  // namespace shoal::client
