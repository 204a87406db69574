// SPDX-License-Identifier: Apache-2.0
// One session through one route: rows go to the first hop, each hop pushes to the next, the last
// returns to us. Fails as a whole, and then says which hop's fault it was; replacing hops is
// SwarmPipeline's work. One caller at a time. The wire: proto/span_service.proto and
// docs/protocol.md.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "client/interrupt.h"
#include "client/pipeline.h"
#include "client/route.h"

namespace shoal::net {
class ChannelPool;
class IoThread;
}  // namespace shoal::net

namespace shoal::client {

struct RingOptions {
  proto::Digest model;
  std::uint32_t hidden = 0;
  std::uint32_t positions = 0;  // KV to lease
  std::uint64_t epoch = 1;
  double expected_step_us = 0;  // what routing thinks one decode step takes
  bool full_timings =
      false;  // wait for every hop's acknowledgement of a step, not only for its result
};

struct RingFailure {
  absl::Status status;
  std::optional<proto::PeerId> culprit;
  std::chrono::milliseconds retry_after{0};
};

class RingSession {
 public:
  // Opens every hop at once and waits for all welcomes; on failure returns it. `channels`, `io` and
  // `interrupt` must outlive the session.
  static std::optional<RingFailure> open(Route route, const RingOptions& options,
                                         net::ChannelPool& channels, net::IoThread& io,
                                         const Interrupt& interrupt,
                                         std::unique_ptr<RingSession>& session);
  virtual ~RingSession() = default;  // closes the streams: every hop frees its KV pages

  virtual const Route& route() const = 0;
  // rows [n, hidden] at positions start_position, ...; a start below the session's position
  // truncates it. The rows go out in chunks, several of them in flight. On an error failure() says
  // more, and the session is of no more use.
  virtual absl::StatusOr<std::vector<float>> run(std::span<const float> rows,
                                                 std::uint32_t start_position,
                                                 RowsWanted wanted) = 0;
  virtual const RingFailure& failure() const = 0;
  virtual const StepTiming& timing() const = 0;  // of the last chunk of the last run()
};

}  // namespace shoal::client
