// SPDX-License-Identifier: Apache-2.0
// All blocks of a model as one thing: tokens in at the current position, final hidden rows or the
// scores of next tokens out. Generation and scoring are written once over it; the blocks run in
// this process (LocalPipeline) or over the swarm (SwarmPipeline), the ends here or there, with
// bitwise equal results. One caller at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/swarm/route.h"
#include "proto/scores.h"

namespace shoal::client {

enum class RowsWanted { kNone, kLast, kAll };

// Where the time of one append() went; microseconds.
struct HopTiming {
  proto::PeerId peer;
  proto::Span span;
  double queue_us = 0;
  double compute_us = 0;
  double network_us = 0;  // the rest of the time between the hop before and this one
};
struct StepTiming {
  double total_us = 0;
  double return_us = 0;  // from the last hop to the client
  std::vector<HopTiming> hops;
};

// What is known of the token behind a row.
struct Scores {
  // [vocabulary]; minus infinity: one of those of which only `rest_log_sum` is known.
  std::vector<float> logits;
  double rest_log_sum = -std::numeric_limits<double>::infinity();  // log of the sum of their exp
  double head_us = 0;                                              // that this process took for it
};
using ScoreSink = std::function<absl::Status(std::size_t row, const Scores& scores)>;

class Pipeline {
 public:
  virtual ~Pipeline() = default;

  // For people who wait: rows of the append() under way that are done, of those to do; often. After
  // a loss it begins anew, with what has to be rebuilt.
  using RowsObserver = std::function<void(std::size_t done, std::size_t all)>;
  void on_rows(RowsObserver observer) { on_rows_ = std::move(observer); }

  // Runs `ids` (at least one) at the current position and moves it behind them. Returns nothing,
  // the last one's row [1, hidden], or all rows [ids, hidden], before the final norm. After an
  // error the pipeline is of no more use.
  virtual absl::StatusOr<std::vector<float>> append(std::span<const std::int32_t> ids,
                                                    RowsWanted rows) = 0;
  // The same up to what the last row says of the next token. Where the head is here, all of it;
  // where a node has it, the `wanted.top` largest logits and those of `wanted.also`.
  virtual absl::Status next_scores(std::span<const std::int32_t> ids,
                                   const proto::ScoresWanted& wanted, Scores& scores) = 0;
  // Of all rows, in order; `wanted.also` has as many ids for each. An error of the sink is
  // returned.
  virtual absl::Status each_scores(std::span<const std::int32_t> ids,
                                   const proto::ScoresWanted& wanted, const ScoreSink& sink) = 0;
  // How the nodes keep the head that they score by; nullopt: it is here.
  virtual std::optional<proto::WeightFormat> remote_head() const { return std::nullopt; }
  // The next append() starts at `position`, at most the current one: what comes later is forgotten.
  virtual void truncate(std::int64_t position) = 0;
  virtual std::int64_t position() const = 0;

  virtual Route route() const = 0;   // empty: in this process
  virtual int reroutes() const = 0;  // how often a hop had to be replaced
  // That hops still had from earlier sessions, and did not compute.
  virtual std::int64_t reused_positions() const = 0;
  virtual BlockKinds kinds() const = 0;  // [blocks], of the route as it is
  // Every row that came out was computed in the same numerics: another run in these, with other
  // nodes or none, gives the same bits.
  virtual bool exact() const = 0;
  virtual const StepTiming& timing() const = 0;  // of the last append()

 protected:
  RowsObserver on_rows_;
};

}  // namespace shoal::client
