// SPDX-License-Identifier: Apache-2.0
// One session through one route: rows go to the first hop, each hop pushes to the next, the last
// returns to us. Fails as a whole, and then says which hop's fault it was; replacing hops is
// SwarmPipeline's work. One caller at a time. The wire: proto/span_service.proto and
// docs/protocol.md.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "client/heartbeat.h"
#include "client/hop_stream.h"
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
  double expected_step_us = 0;  // what routing thinks that one decode step takes
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
  // `channels`, `io` and `interrupt` must outlive the session.
  RingSession(Route route, const RingOptions& options, net::ChannelPool& channels,
              net::IoThread& io, const Interrupt& interrupt);
  ~RingSession();  // ends the streams: every hop frees its KV pages
  RingSession(const RingSession&) = delete;

  // Opens every hop at once and waits for all welcomes.
  absl::Status open();
  // rows [n, hidden] at positions start_position, ...; a start below the session's position
  // truncates it. The rows go out in chunks, several of them in flight. After an error failure()
  // says more, and the session is of no more use.
  absl::StatusOr<std::vector<float>> run(std::span<const float> rows, std::uint32_t start_position,
                                         RowsWanted wanted);

  const Route& route() const { return route_; }
  const RingFailure& failure() const { return failure_; }
  const StepTiming& timing() const {
    return timing_;
  }  // of the last run(), its hops of the last chunk

 private:
  using Clock = std::chrono::steady_clock;

  struct HopState {
    std::shared_ptr<HopStream> stream;
    wire::Welcome welcome;
    bool welcomed = false;
    std::uint64_t acked_step = 0;
    Clock::time_point last_heard;
    bool answers_heartbeats = false;
    std::optional<wire::Failure> refused;
    std::optional<absl::Status> closed;
  };
  struct HopAck {
    Clock::time_point at;
    std::uint32_t queue_us = 0, compute_us = 0;
  };
  struct Flight {  // one step under way
    std::uint64_t step_id = 0;
    std::size_t begin = 0, rows = 0;  // of the rows of this run
    std::uint32_t start_position = 0;
    RowsWanted wanted = RowsWanted::kNone;
    Clock::time_point sent;
    std::vector<std::optional<HopAck>> acks;  // by hop
    bool returned = false;
    Clock::time_point returned_at;
  };

  void open_hop(std::size_t hop, const std::string& session_id,
                const std::vector<std::string>& tokens);
  absl::Status send_step(std::span<const float> rows, Flight flight);
  bool finished(const Flight& flight) const;
  // Waits for one event and works it off; fails when the session has.
  absl::Status turn(std::vector<float>* wanted_rows);
  absl::Status on_frame(std::size_t hop, const HopEvent& event, std::vector<float>* wanted_rows);
  absl::Status on_result(std::size_t hop, const HopEvent& event, std::vector<float>* wanted_rows);
  absl::Status check_liveness(Clock::time_point now);
  void probe_hops();
  absl::Status fail(const absl::Status& status, std::optional<std::size_t> culprit);
  absl::Status fail_by_events();
  std::size_t slowest_hop() const;
  std::string name(std::size_t hop) const;
  Clock::duration stall_limit() const;
  void record_timing(const Flight& flight, Clock::time_point started, Clock::time_point now);

  const Route route_;
  const RingOptions options_;
  net::ChannelPool& channels_;
  net::IoThread& io_;
  const Interrupt& interrupt_;
  const std::shared_ptr<HopInbox> inbox_ = std::make_shared<HopInbox>();
  std::vector<HopState> hops_;
  std::deque<Flight> flights_;
  std::uint64_t next_step_ = 1;
  std::size_t max_rows_ = 1;  // of one chunk
  double us_per_row_ = 0;     // slowest seen lately, through the whole ring
  Clock::time_point
      last_progress_;  // something was sent into an idle ring, acknowledged or returned
  Clock::time_point last_probe_;
  std::uint64_t next_nonce_ = 1;
  RingFailure failure_;
  StepTiming timing_;
  std::unique_ptr<Heartbeat> heartbeat_;  // last: stops first
};

}  // namespace shoal::client
