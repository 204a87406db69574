// SPDX-License-Identifier: Apache-2.0
// What the commands print: JSON for programs, tables and lines for people. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "client/swarm/block_kinds.h"
#include "client/swarm/dht_health.h"
#include "client/swarm/swarm_view.h"
#include "client/text/generate.h"
#include "client/text/pipeline.h"
#include "client/text/score.h"
#include "model/weight_choice.h"

namespace shoal::client {

// By whom and how a result was computed, at the end of the run.
struct RunFacts {
  Route route;  // empty: in this process
  int reroutes = 0;
  std::int64_t reused_positions = 0;  // that hops had kept
  BlockKinds kinds;
  bool exact = true;  // all of it in the same numerics
  model::WeightChoice head = model::WeightChoice::kStored;
};

// One object, without a newline at its end.
std::string generate_json(const GenerateRequest& request, const GenerateResult& result,
                          const RunFacts& facts);
std::string score_json(const ScoreResult& result, std::int64_t window, const RunFacts& facts);
// `now_us`: the time, as unix microseconds; it tells how old a silent node's record is.
std::string status_json(const std::vector<SwarmView>& views, const DhtHealth& health,
                        std::uint64_t now_us = 0);

std::string score_text(const ScoreResult& result, const RunFacts& facts);
// "computed in i8/q4, head q8, exact", with --trace.
std::string facts_line(const RunFacts& facts);
// One table per model, with a map of its blocks; then the directory's health.
std::string status_text(const std::vector<SwarmView>& views, const DhtHealth& health,
                        std::uint64_t now_us = 0);

// "token 3: 2.31 ms = 1a2b3c4d [0:4) queue 0.01 compute 1.02 network 0.31 | ... | return 0.20 |
// client 0.12"
std::string trace_line(std::size_t token, const StepTiming& timing, double client_us);

// Sums of trace lines: the mean of each part over the steps after the first, which is the prefill.
class TraceSummary {
 public:
  void add(const StepTiming& timing, double client_us);
  std::string text() const;  // empty without steps

 private:
  StepTiming sum_;
  double client_us_ = 0;
  std::size_t steps_ = 0;
};

}  // namespace shoal::client
