// SPDX-License-Identifier: Apache-2.0
// A device of a node with the blocks that it computes. Batches pass through it one after the other;
// what one GPU computes is handed to the next through the host's (pinned) memory. One caller at a
// time (the device thread); no lock. Owns the executor and the runner.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "model/span_runner.h"
#include "node/device/running_batch.h"
#include "proto/types.h"

namespace shoal::node {

// Rows of a batch whose sessions use the same blocks, on their way through the stages.
struct Flight {
  RunningBatch* batch = nullptr;
  std::span<BatchWork> work;
  std::size_t place = 0;  // of the stage on the sessions' way
  std::chrono::steady_clock::time_point begun{};
  std::chrono::steady_clock::duration took{};
};

class Stage {
 public:
  using Clock = std::chrono::steady_clock;

  // `config` and `checkpoint` must outlive it.
  static absl::StatusOr<std::unique_ptr<Stage>> load(const model::ModelConfig& config,
                                                     const model::Checkpoint& checkpoint,
                                                     proto::Span span,
                                                     std::unique_ptr<kernels::Executor> executor,
                                                     const model::SpanOptions& options);

  proto::Span span() const { return span_; }
  kernels::Executor& executor() { return *executor_; }
  model::SpanRunner& runner() { return *runner_; }

  // Behind what is there. `expected_us`: what it should take here.
  void put(const Flight& flight, double expected_us);
  // The flight that has been computed here, if one has; then the next ones begin.
  std::optional<Flight> next_done();
  bool empty() const { return waiting_.empty() && under_way_.empty(); }
  // When what is here should have been computed.
  Clock::time_point expected_end() const { return expected_end_; }

 private:
  Stage(proto::Span span, std::int64_t hidden, std::unique_ptr<kernels::Executor> executor,
        std::unique_ptr<model::SpanRunner> runner);
  void begin_waiting();

  const proto::Span span_;
  const std::int64_t hidden_;
  const std::unique_ptr<kernels::Executor> executor_;
  const std::unique_ptr<model::SpanRunner> runner_;
  std::deque<Flight> waiting_, under_way_;  // the runner has the latter
  Clock::time_point expected_end_{}, ended_{};
  std::vector<model::SequenceStep> sequences_;  // of the flight that begins
};

}  // namespace shoal::node
