// SPDX-License-Identifier: Apache-2.0
// Runs the blocks [begin, end) of a model on batches of rows of many sessions. One caller at a time
// (the device thread). Row-invariant: see docs/design.md, section 5. Owns its scratch memory;
// weights stay in the checkpoint's mapping.
#pragma once

#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"

namespace shoal::model {

// A run of rows of one session within a batch; lease->prepare(start, rows) has been called.
struct SequenceStep {
  KvLease* lease = nullptr;
  std::int64_t start_position = 0;
  std::int64_t rows = 0;
};

class SpanRunner {
 public:
  // Takes the tensors model.layers.[begin, end) only; NOT_FOUND / INVALID_ARGUMENT name what does
  // not fit. `checkpoint` and `executor` must outlive the runner.
  static absl::StatusOr<std::unique_ptr<SpanRunner>> load(const ModelConfig& config,
                                                          const Checkpoint& checkpoint,
                                                          std::int64_t block_begin,
                                                          std::int64_t block_end,
                                                          kernels::Executor& executor);
  virtual ~SpanRunner() = default;

  virtual KvShape kv_shape() const = 0;
  virtual std::size_t weight_bytes() const = 0;
  // x [sum of rows, hidden], in place; the sequences' rows follow each other. Does not advance the
  // leases. Blocks [first_block, last_block) of the span relative to the model; a session may use a
  // part of the span.
  virtual void run(std::span<const SequenceStep> steps, std::int64_t first_block,
                   std::int64_t last_block, std::span<float> x) = 0;
};

}  // namespace shoal::model
