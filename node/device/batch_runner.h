// SPDX-License-Identifier: Apache-2.0
// Computes batches: has the rows of sessions that use the same blocks pass through the stages, and
// measures. Where devices work behind their caller's back the
// next batch begins just before they have done the one before it: earlier, it would lack rows that
// come meanwhile; later, they would wait for us. One caller at a time (the device thread); no lock.
// Owns the stages.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"
#include "model/span_runner.h"
#include "node/device/executors.h"
#include "node/device/running_batch.h"
#include "node/device/stage.h"
#include "proto/types.h"

namespace shoal::node {

class BatchRunner {
 public:
  using Clock = std::chrono::steady_clock;

  // `config` and `checkpoint` must outlive it. The shares cover the span.
  static absl::StatusOr<std::unique_ptr<BatchRunner>> load(const model::ModelConfig& config,
                                                           const model::Checkpoint& checkpoint,
                                                           proto::Span span,
                                                           std::vector<DeviceShare> shares,
                                                           const model::SpanOptions& options);
  ~BatchRunner();
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;

  // One for each stage.
  absl::StatusOr<std::vector<std::unique_ptr<model::KvPool>>> make_pools(
      std::int64_t positions, kernels::KvDType dtype) const;
  // A few rows through the whole span: faults the weights in, measures one row in microseconds, and
  // notices damaged weights before a user does.
  absl::StatusOr<double> warm_up(std::span<const std::unique_ptr<model::KvPool>> pools);

  // Of the files that weights are read from: model::SpanRunner::check(). Thread-safe.
  absl::Status check() const;

  bool idle() const { return batches_.empty(); }
  // Whether the next batch should begin now.
  bool has_room(Clock::time_point now) const;
  // The leases are prepared; they are not advanced. Sessions of a batch that is under way are not
  // in another.
  void begin(RunningBatch batch);
  // A batch that has been computed, with what it took, if there is one; it does not wait.
  std::optional<RunningBatch> next_done();

 private:
  struct UnderWay {
    RunningBatch batch;
    std::size_t flights = 0;  // that are not done
  };

  BatchRunner(proto::Span span, std::int64_t hidden) : span_(span), hidden_(hidden) {}
  Stage& stage_of(const Flight& flight);
  void put(const Flight& flight);
  void land(const Flight& flight);

  const proto::Span span_;
  const std::int64_t hidden_;
  std::vector<std::unique_ptr<Stage>> stages_;
  bool works_ahead_ = false;
  std::list<UnderWay> batches_;  // the oldest first
};

}  // namespace shoal::node
