// SPDX-License-Identifier: Apache-2.0
// All blocks of a model over the swarm, and over its failures: when a hop is lost, the pipeline
// looks for who serves the model now, opens a session through a new route with the next epoch, and
// rebuilds the KV cache from the token ids. Rows do not depend on how they are batched, so the same
// values come out as if nothing had happened. One caller at a time.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "client/interrupt.h"
#include "client/pipeline.h"
#include "client/ring_session.h"
#include "client/swarm_connection.h"
#include "client/swarm_view.h"
#include "client/user_model.h"

namespace shoal::client {

struct SwarmPipelineOptions {
  std::uint32_t positions = 0;  // KV that every hop leases
  bool full_timings = false;
  std::function<void(const std::string&)>
      on_event;  // for people: a hop was lost, a new route taken
};

class SwarmPipeline : public Pipeline {
 public:
  // Finds a route and opens it. All references must outlive the pipeline.
  static absl::StatusOr<std::unique_ptr<SwarmPipeline>> create(const UserModel& user_model,
                                                               SwarmConnection& swarm,
                                                               SwarmPipelineOptions options,
                                                               const Interrupt& interrupt);

  absl::StatusOr<std::vector<float>> append(std::span<const std::int32_t> ids,
                                            RowsWanted rows) override;
  void truncate(std::int64_t position) override;
  std::int64_t position() const override { return static_cast<std::int64_t>(ids_.size()); }
  Route route() const override { return route_; }
  int reroutes() const override { return reroutes_; }
  const StepTiming& timing() const override { return timing_; }

 private:
  using Clock = std::chrono::steady_clock;

  SwarmPipeline(const UserModel& user_model, SwarmConnection& swarm, SwarmPipelineOptions options,
                const Interrupt& interrupt);

  absl::Status connect();                               // one try
  absl::Status connect_patiently();                     // several, as patience allows
  absl::StatusOr<SwarmView> find_view();                // who serves the model
  absl::StatusOr<Route> choose_route(double* cost_us);  // of those, who answers
  absl::StatusOr<std::vector<float>> run(std::size_t from, std::size_t to, RowsWanted rows);
  // Notes a failure; OK when it makes sense to try again, else the last word.
  absl::Status give_way(const absl::Status& failure, std::chrono::milliseconds retry_after);
  std::set<proto::PeerId> excluded() const;
  void blame_culprit();
  void tell(const std::string& text) const;

  const UserModel& user_model_;
  SwarmConnection& swarm_;
  const SwarmPipelineOptions options_;
  const Interrupt& interrupt_;
  std::unique_ptr<RingSession> session_;
  std::vector<std::int32_t> ids_;     // all tokens up to the position
  std::size_t session_position_ = 0;  // how many of them the session's hops have seen
  Route route_;
  StepTiming timing_;
  std::uint64_t epoch_ = 0;
  int reroutes_ = 0;
  int failures_ = 0;  // since the last success
  Clock::time_point failing_since_;
  std::optional<Clock::time_point> crowded_since_;  // when the swarm first had no room
  struct Blame {
    int times = 0;
    Clock::time_point until;
  };
  std::map<proto::PeerId, Blame> blames_;
};

}  // namespace shoal::client
