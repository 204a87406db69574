// SPDX-License-Identifier: Apache-2.0
// All blocks of a model as one thing: tokens in at the current position, final hidden rows out.
// Generation and scoring are written once over it; the blocks run in this process (LocalPipeline)
// or over the swarm (SwarmPipeline), with bitwise equal results. One caller at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/swarm/route.h"

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
