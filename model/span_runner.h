// SPDX-License-Identifier: Apache-2.0
// Runs the blocks [begin, end) of a model on batches of rows of many sessions. One caller at a time
// (the device thread). Row-invariant: see docs/design.md, section 5. Owns workspace and tables,
// which are made at the start: a step allocates nothing. Weights stay in the checkpoint's mapping,
// or are packed beside it.
#pragma once

#include <memory>
#include <span>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"
#include "model/span_layers.h"
#include "model/weight_choice.h"

namespace shoal::model {

// A run of rows of one session within a batch; lease->prepare(start, rows) has been called.
struct SequenceStep {
  KvLease* lease = nullptr;
  std::int64_t start_position = 0;
  std::int64_t rows = 0;
  std::span<const float> x;  // [rows, hidden]
  std::span<float> out;      // [wanted rows, hidden], the last ones; may be x, may be empty
  bool* finite = nullptr;    // finish() says whether all its rows came out finite; may be null
};

struct SpanOptions {
  std::int64_t rows = 0;          // of one batch
  std::int64_t kv_positions = 0;  // of the pool
  WeightChoice weights = WeightChoice::kStored;
  PackOptions pack = {};  // of another choice than as they are stored
};

class SpanRunner {
 public:
  // Takes the tensors model.layers.[begin, end) only; NOT_FOUND / INVALID_ARGUMENT name what does
  // not fit. `checkpoint` and `executor` must outlive the runner.
  static absl::StatusOr<std::unique_ptr<SpanRunner>> load(
      const ModelConfig& config, const Checkpoint& checkpoint, std::int64_t block_begin,
      std::int64_t block_end, kernels::Executor& executor, const SpanOptions& options);
  ~SpanRunner();
  SpanRunner(const SpanRunner&) = delete;
  SpanRunner& operator=(const SpanRunner&) = delete;

  KvShape kv_shape(kernels::KvDType dtype = kernels::KvDType::kF32) const;
  std::size_t weight_bytes() const;
  // Whether all files that we read weights from are still as they were opened: ask before a result
  // is used. As Checkpoint::check(); DATA_LOSS: a file of the cache, which the next start makes
  // anew. Thread-safe; a system call for each file.
  absl::Status check() const;
  // Takes the rows of a batch and starts it. Blocks [first_block, last_block) of the span relative
  // to the model; a session may use a part of the span. All leases are of one pool and begin at the
  // same block. Batches run in the order of the calls, at most kMostUnderWay at a time, and what a
  // step refers to stays until finish(): the caller may gather or encode other batches meanwhile,
  // and begin one of other sessions. On the CPU all cores compute here, and begin() returns when
  // they are done.
  void begin(std::span<const SequenceStep> steps, std::int64_t first_block,
             std::int64_t last_block);
  // Of the oldest batch: whether finish() would not wait; then waits for it, and hands out the rows
  // that are wanted. Does not advance the leases.
  bool done();
  void finish();
  static constexpr std::size_t kMostUnderWay = 4;

 private:
  class Impl;
  explicit SpanRunner(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::model
