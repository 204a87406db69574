// SPDX-License-Identifier: Apache-2.0
// One session through one route: rows go to the first hop, each hop pushes to the next, the last
// returns to us. Fails as a whole, and then says which hop's fault it was; replacing hops is
// SwarmPipeline's work, and so is the decision to leave a route that is only slow. One caller at a
// time. The wire: proto/span_service.proto and docs/protocol.md.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "client/ring/heartbeat.h"
#include "client/ring/hop_stream.h"
#include "client/ring/session_pace.h"
#include "client/swarm/route.h"
#include "client/text/pipeline.h"
#include "proto/scores.h"

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
  // [hops], or empty: hashes of the pages that the session will begin with, and of no more than it
  // will compute beside at least one row.
  std::vector<std::string> prefix{};
  // So many rows of a step every hop takes, as it said when it was asked; then, and without a
  // prefix, open() does not wait: the first steps travel right behind Open. 0: it waits.
  std::uint32_t early_rows = 0;
  std::uint32_t vocabulary = 0;       // where nodes compute the model's ends, as the route says
  std::vector<double> promised_us{};  // [hops], of one decode step; empty: nothing is promised
  bool full_timings =
      false;  // wait for every hop's acknowledgement of a step, not only for its result
  // Asked again and again while a living route is in trouble: whether to give it up now.
  std::function<bool(const PaceTrouble&)> leave{};
};

struct RingFailure {
  absl::Status status;
  std::optional<proto::PeerId> culprit;
  std::optional<proto::PeerId>
      before;  // the peer that does not get through to the culprit, it seems
  std::optional<proto::PeerId> told_by;  // whose word it is, when it is another hop's
  std::optional<proto::Span> lost;       // what the culprit ran
  std::optional<PaceTrouble> trouble;    // when the hop lives
  bool changed = false;                  // the culprit is not what it said of itself before
  std::chrono::milliseconds retry_after{0};
};

class RingSession {
 public:
  // `channels`, `io` and `interrupt` must outlive the session.
  RingSession(Route route, const RingOptions& options, net::ChannelPool& channels,
              net::IoThread& io, const base::StopToken& interrupt);
  ~RingSession();  // ends the streams: every hop frees its KV pages
  RingSession(const RingSession&) = delete;

  // Opens every hop at once and waits for all welcomes; with early_rows the first run() does, and
  // fails where open() would have.
  absl::Status open();
  bool is_open() const;  // every hop has welcomed us
  // Of the prefix, that every hop has: the first run() may start at or below.
  std::uint32_t kept_positions() const;
  // All hops have said what they compute in: what the hashes stand for is certain.
  bool names_numerics() const;
  // Asks every hop to keep its pages from `first_page` on, which all are filled; hashes: [hops].
  // Not after an error.
  void keep(std::uint32_t first_page, const std::vector<std::string>& hashes);
  // rows [n, hidden] at positions start_position, ...; a start below the session's position
  // truncates it. The rows go out in chunks, several of them in flight. After an error failure()
  // says more, and the session is of no more use.
  // on_rows gets the rows that are done, often.
  absl::StatusOr<std::vector<float>> run(std::span<const float> rows, std::uint32_t start_position,
                                         RowsWanted wanted,
                                         const std::function<void(std::size_t)>& on_rows = {});
  // The same from token ids, where the route's first hop embeds and its last has the head: scores
  // of the rows that are wanted, `scores.also` of each.
  absl::StatusOr<std::vector<proto::RowScores>> run_ids(
      std::span<const std::int32_t> ids, std::uint32_t start_position, RowsWanted wanted,
      const proto::ScoresWanted& scores, const std::function<void(std::size_t)>& on_rows = {});

  const Route& route() const { return route_; }
  const RingFailure& failure() const { return failure_; }
  const StepTiming& timing() const {
    return timing_;
  }  // of the last run(), its hops of the last chunk
  const SessionPace& pace() const { return pace_; }

 private:
  using Clock = std::chrono::steady_clock;

  struct HopState {
    std::shared_ptr<HopStream> stream;
    wire::Welcome welcome;
    bool welcomed = false;
    Clock::time_point idle_since;  // of the allowance for messages without a purpose
    double idle_frames = 0;
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
    proto::ScoresWanted scores{};
    Clock::time_point sent;
    std::vector<std::optional<HopAck>> acks;  // by hop
    bool returned = false;
    Clock::time_point returned_at;
  };

  absl::Status await_welcomes();
  // Of those that have not welcomed us: none, or the first, whose time is up.
  std::optional<std::size_t> late_hop(Clock::time_point now) const;
  void open_hop(std::size_t hop, const std::string& session_id,
                const std::vector<std::string>& tokens);
  struct Run {  // rows or ids in, rows or scores out
    std::span<const float> rows;
    std::span<const std::int32_t> ids;
    std::size_t count = 0;
    RowsWanted wanted = RowsWanted::kNone;
    const proto::ScoresWanted* scores = nullptr;
    std::vector<float> wanted_rows{};
    std::vector<proto::RowScores> wanted_scores{};  // [wanted]
  };
  absl::Status run(Run& run, std::uint32_t start_position,
                   const std::function<void(std::size_t)>& on_rows);
  std::size_t most_rows(const Run& run) const;  // of one step
  absl::Status send_step(const Run& run, Flight flight);
  bool finished(const Flight& flight) const;
  // Waits for one event and works it off; fails when the session has.
  absl::Status turn(Run& run);
  absl::Status on_frame(std::size_t hop, const HopEvent& event, Run* run);
  absl::Status on_welcome(std::size_t hop, const HopEvent& event);
  absl::Status on_result(std::size_t hop, const HopEvent& event, Run* run);
  absl::Status take_rows(std::size_t hop, const wire::Result& result, const Flight& flight,
                         Run& run);
  absl::Status take_scores(std::size_t hop, const wire::Result& result, const Flight& flight,
                           Run& run);
  absl::Status check_pace(Clock::time_point now);
  void probe_hops();
  absl::Status fail(const absl::Status& status, std::optional<std::size_t> culprit);
  absl::Status fail_by_events();
  absl::Status fail_by_pace(const PaceTrouble& trouble);
  // A message that means nothing to us; fails when a hop does nothing but keep us busy.
  absl::Status on_idle_frame(std::size_t hop, Clock::time_point at);
  std::string name(std::size_t hop) const;
  void record_timing(const Flight& flight, Clock::time_point started, Clock::time_point now);

  const Route route_;
  const RingOptions options_;
  net::ChannelPool& channels_;
  net::IoThread& io_;
  const base::StopToken& interrupt_;
  const std::shared_ptr<HopInbox> inbox_ = std::make_shared<HopInbox>();
  std::vector<HopState> hops_;
  std::deque<Flight> flights_;
  std::uint64_t next_step_ = 1;
  std::size_t max_rows_ = 1;  // of one chunk
  Clock::time_point welcomes_due_;
  SessionPace pace_;
  Clock::time_point next_check_;
  std::uint64_t next_nonce_ = 1;
  RingFailure failure_;
  StepTiming timing_;
  std::unique_ptr<Heartbeat> heartbeat_;  // last: stops first
};

}  // namespace shoal::client
