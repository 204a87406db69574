// SPDX-License-Identifier: Apache-2.0
// The thread that computes: runs the steps of many sessions in batches over the blocks of our span.
// Thread-safe; no call waits for computing. Completions run on a thread of their own (the
// completer's), or on the device's when nothing else is to be computed; in order per session,
// without locks held. They must not wait for another step. A slow one delays other completions.
// Owns the device's queue, runner and completer, and the head's thread where it serves one
// (docs/design.md, section 8).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/kv_dtype.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/span_layers.h"
#include "model/weight_choice.h"
#include "node/device/batch_runner.h"
#include "node/device/device_stats.h"
#include "node/device/refusal.h"
#include "node/device/scheduler.h"
#include "node/device/span_ends.h"
#include "node/device/step.h"
#include "proto/types.h"

namespace shoal::node {

struct DeviceOptions {
  proto::Span span;
  std::int64_t kv_positions = 0;
  kernels::KvDType kv_dtype = kernels::KvDType::kF32;
  model::WeightChoice weights = model::WeightChoice::kStored;
  model::PackOptions pack = {};           // used by start() only
  int threads = 0;                        // of a CPU; 0: one per available core
  std::vector<DeviceShare> devices = {};  // that cover the span; none: the CPU
  SchedulerLimits limits;
  // What of the model's ends is served; null: nothing.
  std::shared_ptr<const SpanEnds> ends = nullptr;
};

class DeviceThread {
 public:
  // Loads the span and computes a few rows, which reads the weights and measures block_step_us.
  // `config` and `checkpoint` must outlive it.
  static absl::StatusOr<std::unique_ptr<DeviceThread>> start(const model::ModelConfig& config,
                                                             const model::Checkpoint& checkpoint,
                                                             DeviceOptions options);
  // Drops queued steps, and results that were not told yet: their completions never run. Joins.
  ~DeviceThread();
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;

  // A lease of max_positions for the blocks of `span`, a part of ours, which stands behind as much
  // of `prefix` (a hash for each page) as is kept here. RESOURCE_EXHAUSTED with a retry time when
  // KV is short.
  std::optional<Refusal> open(SessionKey key, const proto::PeerId& peer, proto::Span span,
                              std::uint32_t max_positions,
                              std::span<const proto::PageHash> prefix = {});
  // That the session's KV reaches; 0 when it is closed.
  std::uint32_t position(SessionKey key) const;
  // The session's full pages from first_page on hold what these hashes say, in whatever steps have
  // run: keeps them for later sessions, now or when the session ends. Pages that are not full yet,
  // or behind a gap, are left out.
  void keep(SessionKey key, std::uint32_t first_page, std::span<const proto::PageHash> hashes);
  // Queues a step; refused when a queue is full, or when the lease was shrunk and there is no room
  // to grow again. The caller has checked positions, rows and values. Token ids and scores need the
  // end of the model that they name.
  std::optional<Refusal> submit(SessionKey key, StepInput input, StepDone done);
  // Frees the session's pages: now, or when the batch that is being computed ends. Completions of
  // steps that had run before may still come.
  void close(SessionKey key);

  // What one row takes in the head, microseconds, as it was measured at the start; 0: there is
  // none.
  double head_us() const;

  // Whether our part of the model's files is still what it was when we started, and the device
  // works (UNAVAILABLE); an error names the file. From then on every step and session is refused:
  // what would be computed would be wrong.
  absl::Status check_files();

  // Whether steps of the session wait while more than `part` of the queue is full.
  bool crowded(SessionKey key, double part) const;

  std::map<SessionKey, LeaseUse> leases() const;
  // Takes back what the session was promised and has not filled; the positions that became free.
  // None while steps of it wait: it will need them.
  std::int64_t shrink(SessionKey key);

  // Gives KV memory that nobody needs any more back to the system, a part of it per call.
  void return_memory();

  DeviceStats stats() const;

 private:
  class Impl;
  explicit DeviceThread(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::node
