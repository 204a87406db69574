// SPDX-License-Identifier: Apache-2.0
// All blocks of a model over the swarm, and over its failures: when a hop is lost, or is so slow
// that another route would do better, the pipeline looks for who serves the model now, opens a
// session through a new route with the next epoch, and rebuilds the KV cache from the token ids.
// Rows do not depend on how they are batched, so the same values come out as if nothing had
// happened. What nobody serves is waited for. One caller at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/stop_token.h"
#include "client/ring/patience.h"
#include "client/ring/prefix_chain.h"
#include "client/ring/repeated_loss.h"
#include "client/ring/ring_session.h"
#include "client/ring/shared_sighting.h"
#include "client/ring/swarm_scout.h"
#include "client/swarm/block_kinds.h"
#include "client/swarm/peer_memory.h"
#include "client/swarm/swarm_connection.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"

namespace shoal::client {

struct SwarmPipelineOptions {
  std::uint32_t positions = 0;  // KV that every hop leases
  // Nodes compute the model's ends. A model without ends has them do it anyway.
  bool remote_ends = false;
  // What the session begins with, as far as it is known; and by what its pages are known again.
  // Without a salt no hop keeps anything, and nothing that is kept is used.
  std::vector<std::int32_t> prompt{};
  std::optional<PrefixSalt> prefix_salt{};
  bool full_timings = false;
  // Where a first look is spared if others have looked just now; may be null.
  SharedSighting* sighting = nullptr;
  std::chrono::milliseconds wait{60'000};  // for what is lost
  // Ends a wait for nodes, and no step that is under way: the pipeline goes on with the next
  // append, which waits anew. It must outlive the pipeline; null: `interrupt` does.
  const base::StopToken* stop_waiting = nullptr;
  // For people: a hop was lost, we wait, a new route was taken.
  std::function<void(const std::string&)> on_event{};
  // Again and again while we wait.
  std::function<void(std::chrono::milliseconds waited, std::chrono::milliseconds limit)> on_wait{};
};

class SwarmPipeline : public Pipeline {
 public:
  // Finds a route and opens it. All references must outlive the pipeline.
  static absl::StatusOr<std::unique_ptr<SwarmPipeline>> create(const UserModel& user_model,
                                                               SwarmConnection& swarm,
                                                               SwarmPipelineOptions options,
                                                               const base::StopToken& interrupt);
  ~SwarmPipeline() override;

  absl::StatusOr<std::vector<float>> append(std::span<const std::int32_t> ids,
                                            RowsWanted rows) override;
  absl::Status next_scores(std::span<const std::int32_t> ids, const proto::ScoresWanted& wanted,
                           Scores& scores) override;
  absl::Status each_scores(std::span<const std::int32_t> ids, const proto::ScoresWanted& wanted,
                           const ScoreSink& sink) override;
  std::optional<proto::WeightFormat> remote_head() const override;
  void truncate(std::int64_t position) override;
  std::int64_t position() const override { return static_cast<std::int64_t>(ids_.size()); }
  Route route() const override { return plan_.route; }
  int reroutes() const override { return reroutes_; }
  std::int64_t reused_positions() const override { return reused_positions_; }
  BlockKinds kinds() const override { return kinds_of(plan_.route); }
  bool exact() const override { return exact_; }
  const StepTiming& timing() const override { return timing_; }

 private:
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;

  struct Plan {
    Route route;
    std::vector<StageCost> stages;      // of its hops
    std::vector<Candidate> candidates;  // it was chosen from, as they described themselves
    std::uint32_t max_rows = 0;         // of a step that every hop takes; 0: one did not say
    bool clean = true;                  // uses nobody whom we avoid
    double kinds_us = 0;                // what it costs that blocks would change their numerics
    double step_us() const;
  };

  SwarmPipeline(const UserModel& user_model, SwarmConnection& swarm, SwarmPipelineOptions options,
                const base::StopToken& interrupt);

  absl::Status connect_patiently();  // several tries, as patience allows
  absl::StatusOr<Sighting> look(bool first);
  // The best route among those who answered; `trouble`: with the route that we have.
  absl::StatusOr<Plan> plan(const Sighting& sighting, const PaceTrouble* trouble = nullptr) const;
  absl::StatusOr<Plan> replan(std::vector<Candidate> candidates, const PaceTrouble* trouble) const;
  absl::Status open(Plan plan);
  // The session never came to be: whose fault it was, and whether to try again; else the last word.
  absl::Status give_up_opening(const absl::Status& status);
  bool is_permanent(const absl::Status& status) const;
  bool has_elsewhere(const Plan& plan) const;  // after the blame
  // Hashes for each hop, of the pages from `first_page` on that lie before `end`.
  std::vector<std::string> hashes(std::span<const std::int32_t> ids, std::size_t first_page,
                                  std::size_t end) const;
  void keep_pages();  // all that are filled, for later sessions
  // What an append brings: rows, or what nodes say of them.
  struct Outcome {
    std::vector<float> rows;
    std::vector<proto::RowScores> scores;
  };
  absl::StatusOr<Outcome> advance(std::span<const std::int32_t> ids, RowsWanted rows,
                                  const proto::ScoresWanted& wanted);
  absl::StatusOr<Outcome> run(std::size_t from, std::size_t to, RowsWanted rows,
                              const proto::ScoresWanted& wanted);

  // What no other try will change, if nobody else serves the blocks.
  static bool is_final(absl::StatusCode code);
  void lose(const absl::Status& status);  // the session: tells, blames, ends it
  void tell_move(std::size_t from, Milliseconds after) const;
  void blame(const RingFailure& failure);
  void drop_channels();
  // Notes a failure and waits a little; OK when it makes sense to try again, else the last word.
  absl::Status give_way(const absl::Status& failure, Milliseconds asked);
  bool sleep(Milliseconds time);

  bool should_leave(const PaceTrouble& trouble);
  bool is_better(const Plan& other, const PaceTrouble& trouble) const;
  void note_speed();
  void note_kinds();
  double block_us(std::size_t hop, double stage_us) const;
  void tell(const std::string& text) const;

  const UserModel& user_model_;
  SwarmConnection& swarm_;
  const SwarmPipelineOptions options_;
  const bool remote_ends_;
  const base::StopToken& interrupt_;
  const base::StopToken& stop_waiting_;  // stopped by whatever stops that
  SwarmScout scout_;
  PeerMemory& memory_;
  Patience patience_;
  RepeatedLoss repeated_;
  bool untold_move_ = false;  // it is told once it has worked
  bool told_waiting_ = false;
  Clock::time_point lost_at_;
  const Clock::time_point began_ = Clock::now();

  Plan plan_;  // of the session
  std::unique_ptr<RingSession> session_;
  std::vector<std::int32_t> ids_;     // all tokens up to the position
  std::size_t session_position_ = 0;  // how many of them the session's hops have seen
  std::size_t kept_pages_ = 0;        // of the session, that its hops keep already
  StepTiming timing_;
  std::uint64_t epoch_ = 0;
  bool opened_ = false;  // some session, once
  int reroutes_ = 0;
  std::int64_t reused_positions_ = 0;
  std::set<proto::PeerId> changed_;  // those that were not what they said, once
  std::uint64_t noted_epoch_ = 0;
  BlockKinds computed_;  // what the last rows that we handed out were computed in
  proto::WeightFormat computed_head_ = proto::WeightFormat::kUnknown;  // and scored by, by a node
  bool exact_ = true;                                                  // and all the others before

  // Of a route that lives and is in trouble.
  std::optional<Plan> other_;  // found lately
  bool leaving_ = false;       // for that
  Clock::time_point other_at_, next_look_, next_move_, noted_at_;
  Milliseconds look_pause_{0}, move_pause_{0};
  double prefill_row_us_ = 0;  // measured; 0: not yet
};

}  // namespace shoal::client
