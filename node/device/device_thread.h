// SPDX-License-Identifier: Apache-2.0
// The thread that computes: runs the steps of many sessions in batches over the blocks of our span.
// Thread-safe; no call waits for computing. Completions run on the device thread, in order per
// session, without locks held, and must be quick. Owns executor, weights' runner, KV pool, leases
// and the scheduler (docs/design.md, section 8); one mutex guards the bookkeeping, so that opening
// and closing take effect at once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/tensor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "node/device/refusal.h"
#include "node/device/scheduler.h"
#include "proto/types.h"

namespace shoal::node {

struct DeviceOptions {
  proto::Span span;
  std::int64_t kv_positions = 0;
  kernels::DType kv_dtype = kernels::DType::kF32;
  int threads = 0;  // 0: one per available core
  SchedulerLimits limits;
};

struct StepInput {
  std::uint32_t start_position =
      0;  // at most the session's position after the steps before this one
  std::uint32_t rows = 0;
  std::vector<float> x;  // [rows, hidden]
};

struct StepOutput {
  absl::Status status;         // INTERNAL when a value is not finite; x is then empty
  std::vector<float> x;        // [rows, hidden]
  std::uint32_t position = 0;  // KV reaches it
  std::uint32_t queue_us = 0;
  std::uint32_t compute_us = 0;
};
using StepDone = std::function<void(StepOutput)>;

// What a session has of the KV pool.
struct LeaseUse {
  std::int64_t leased = 0;  // positions promised
  std::int64_t filled = 0;  // positions of the pages in use
  bool working = false;     // steps wait or are being computed
};

struct DeviceStats {
  std::int64_t free_positions = 0;
  std::int64_t total_positions = 0;
  std::int64_t pages_in_use = 0;
  std::int64_t sessions = 0;
  std::int64_t queued_steps = 0;
  std::uint64_t batches = 0;
  std::uint64_t batched_rows = 0;
  std::uint64_t prefill_batches = 0;  // of `batches`
  float block_step_us = 0;            // one decode row through one block, moving average
};

class DeviceThread {
 public:
  // Loads the span and computes a few rows, which reads the weights and measures block_step_us.
  // `config` and `checkpoint` must outlive it.
  static absl::StatusOr<std::unique_ptr<DeviceThread>> start(const model::ModelConfig& config,
                                                             const model::Checkpoint& checkpoint,
                                                             DeviceOptions options);
  // Drops queued steps, whose completions never run, and joins.
  virtual ~DeviceThread() = default;

  // A lease of max_positions for the blocks of `span`, a part of ours. RESOURCE_EXHAUSTED with a
  // retry time when KV is short.
  virtual std::optional<Refusal> open(SessionKey key, const proto::PeerId& peer, proto::Span span,
                                      std::uint32_t max_positions) = 0;
  // Queues a step; refused when a queue is full, or when the lease was shrunk and there is no room
  // to grow again. The caller has checked positions, rows and values.
  virtual std::optional<Refusal> submit(SessionKey key, StepInput input, StepDone done) = 0;
  // Frees the session's pages: now, or when the batch that is being computed ends. Its completions
  // may still run once.
  virtual void close(SessionKey key) = 0;

  // Whether our part of the model's files is still what it was when we started; an error names the
  // file. From then on every step and session is refused: what would be computed would be wrong.
  virtual absl::Status check_files() = 0;

  // Whether steps of the session wait while more than `part` of the queue is full.
  virtual bool crowded(SessionKey key, double part) const = 0;

  virtual std::map<SessionKey, LeaseUse> leases() const = 0;
  // Takes back what the session was promised and has not filled; the positions that became free.
  // None while steps of it wait: it will need them.
  virtual std::int64_t shrink(SessionKey key) = 0;

  // Gives KV memory that nobody needs any more back to the system, a part of it per call.
  virtual void return_memory() = 0;

  virtual DeviceStats stats() const = 0;
};

}  // namespace shoal::node
