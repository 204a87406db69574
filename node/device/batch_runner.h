// SPDX-License-Identifier: Apache-2.0
// Computes batches: runs the rows of sessions that use the same blocks through the span, has them
// put back where they came from, and looks whether they are finite. One caller at a time (the
// device thread); no lock. Owns the executor and the span's runner.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"
#include "model/span_runner.h"
#include "node/device/running_batch.h"
#include "proto/types.h"

namespace shoal::kernels {
class Executor;
}

namespace shoal::node {

class BatchRunner {
 public:
  // `config` and `checkpoint` must outlive it.
  static absl::StatusOr<std::unique_ptr<BatchRunner>> load(
      const model::ModelConfig& config, const model::Checkpoint& checkpoint, proto::Span span,
      std::unique_ptr<kernels::Executor> executor, const model::SpanOptions& options);
  ~BatchRunner();
  BatchRunner(const BatchRunner&) = delete;
  BatchRunner& operator=(const BatchRunner&) = delete;

  absl::StatusOr<std::unique_ptr<model::KvPool>> make_pool(std::int64_t positions,
                                                           kernels::KvDType dtype) const;
  // A few rows through the whole span: faults the weights in, measures one row in microseconds, and
  // notices damaged weights before a user does.
  absl::StatusOr<double> warm_up(model::KvPool& pool);

  // Of the files that weights are read from: model::SpanRunner::check(). Thread-safe.
  absl::Status check() const { return runner_->check(); }

  // Fills in what was computed and what it took. The leases are prepared; they are not advanced.
  void run(RunningBatch& batch);

 private:
  BatchRunner(proto::Span span, std::int64_t hidden);
  void run_group(RunningBatch& batch, std::span<BatchWork> group);
  std::span<float> rows_of(const BatchWork& work) const;

  const proto::Span span_;
  const std::int64_t hidden_;
  std::unique_ptr<kernels::Executor> executor_;
  std::unique_ptr<model::SpanRunner> runner_;
  std::vector<model::SequenceStep> sequences_;  // of the group that runs
};

}  // namespace shoal::node
