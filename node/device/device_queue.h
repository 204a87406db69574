// SPDX-License-Identifier: Apache-2.0
// The bookkeeping of the device: sessions with their leases and steps, what is computed next, and
// what is known of the device's speed. Thread-safe: one mutex, never held while computing, so that
// opening and closing take effect at once. Calls nobody. Owns the KV pools and what is kept in
// them.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "node/device/decode_gather.h"
#include "node/device/device_stats.h"
#include "node/device/refusal.h"
#include "node/device/running_batch.h"
#include "node/device/scheduler.h"
#include "node/device/span_pages.h"

namespace shoal::node {

class DeviceQueue {
 public:
  // `row_us`: one row alone through the whole span. `attention_positions`: see PrefillPace.
  // `pools`: of the span's stages.
  DeviceQueue(proto::Span span, const SchedulerLimits& limits,
              std::vector<std::unique_ptr<model::KvPool>> pools, double row_us,
              double attention_positions);
  ~DeviceQueue();
  DeviceQueue(const DeviceQueue&) = delete;
  DeviceQueue& operator=(const DeviceQueue&) = delete;

  // As DeviceThread says.
  std::optional<Refusal> open(SessionKey key, const proto::PeerId& peer, proto::Span span,
                              std::uint32_t max_positions, std::span<const proto::PageHash> prefix);
  std::uint32_t position(SessionKey key) const;
  void keep(SessionKey key, std::uint32_t first_page, std::span<const proto::PageHash> hashes);
  std::optional<Refusal> submit(SessionKey key, StepInput input, StepDone done);
  void close(SessionKey key);
  bool crowded(SessionKey key, double part) const;
  std::map<SessionKey, LeaseUse> leases() const;
  std::int64_t shrink(SessionKey key);
  void return_memory();
  DeviceStats stats() const;

  // An error ends all computing; the first that was given here is kept.
  absl::Status set_files(absl::Status intact);

  // For the device thread. Waits for work; nullopt after stop().
  std::optional<RunningBatch> next();
  // What could begin now beside the batches that are under way; it does not wait.
  std::optional<RunningBatch> take();
  // What of the batch has run to its end and is to be told, in order.
  std::vector<Completion> finish(RunningBatch batch);
  bool idle() const;  // no step waits
  void stop();
  // Of all sessions, once nothing runs: their completions never will.
  void drop();

 private:
  using Clock = std::chrono::steady_clock;

  bool wait_for_work() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // false after stop()
  // Until when what is ready should wait for others; `now` or before: not at all.
  Clock::time_point wait_until(Clock::time_point now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  RunningBatch make_batch(Clock::time_point now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PartOfSpan part_of(proto::Span span) const;
  Refusal queue_full(Admission admission) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void learn(const RunningBatch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<Completion> finish(BatchWork& work) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool covered(Lessee& session, std::int64_t positions) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void end_lease(Lessee& session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const proto::Span span_;
  const float unloaded_step_us_;

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  SpanPages pages_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t reused_positions_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);  // why nothing is computed any more
  Scheduler scheduler_ ABSL_GUARDED_BY(mutex_);
  PrefillPace pace_ ABSL_GUARDED_BY(mutex_);
  DecodeGather gather_ ABSL_GUARDED_BY(mutex_);
  std::map<SessionKey, std::shared_ptr<Lessee>> sessions_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point decoded_at_ ABSL_GUARDED_BY(mutex_){};
  float block_step_us_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point measured_at_ ABSL_GUARDED_BY(mutex_) = Clock::now();
  std::uint64_t batches_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t batched_rows_ ABSL_GUARDED_BY(mutex_) = 0;
  std::uint64_t prefill_batches_ ABSL_GUARDED_BY(mutex_) = 0;
  double computing_us_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace shoal::node
