// SPDX-License-Identifier: Apache-2.0
// One Session stream to one hop, and the inbox where the streams of a session meet. gRPC's threads
// bring events in, the session's thread takes them out; both classes are thread-safe. A stream
// lives until gRPC has let go of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "base/stop_token.h"
#include "proto/limits.h"
#include "proto/span_service.pb.h"

namespace grpc {
class Channel;
}

namespace shoal::client {

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
  base::Mutex mutex_;
  base::CondVar arrived_;
  std::deque<HopEvent> events_ ABSL_GUARDED_BY(mutex_);
};

// What may wait to be sent on one stream: all the steps that a session has under way at once, and
// its heartbeats. A hop that does not take even that is of no use.
inline constexpr std::size_t kMaxUnsentBytes =
    (proto::kMaxStepsInFlight / 2 + 2) * proto::kMaxChunkBytes;

class HopStream {
 public:
  // Starts the call; never blocks. Events carry `hop` and go to `inbox`; `name` begins the texts of
  // errors.
  static std::shared_ptr<HopStream> open(const std::shared_ptr<grpc::Channel>& channel,
                                         std::size_t hop, const std::string& name,
                                         std::shared_ptr<HopInbox> inbox);
  HopStream(const HopStream&) = delete;
  HopStream& operator=(const HopStream&) = delete;
  ~HopStream();  // the call goes on; its last event says that it has ended

  // In order; dropped after the end of the stream. When kMaxUnsentBytes wait the stream ends, with
  // RESOURCE_EXHAUSTED.
  void send(wire::ClientFrame frame);
  // An event has been worked off: the stream may read on. Bounds what a hop can pile up here.
  void consumed(const HopEvent& event);
  void finish();  // half-close after what has been sent
  void cancel();
  // False when the stream has not ended by `deadline`.
  bool wait_closed(std::chrono::steady_clock::time_point deadline);

 private:
  class Reactor;
  explicit HopStream(std::shared_ptr<Reactor> reactor);

  const std::shared_ptr<Reactor> reactor_;  // and gRPC's, until the call is over
};

}  // namespace shoal::client
