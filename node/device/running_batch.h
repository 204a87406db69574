// SPDX-License-Identifier: Apache-2.0
// What goes from the device's queue to the runner and back: the rows that are computed together,
// and what that took. While a session is in a batch, its first step and the pages of its lease are
// the runner's; all else of a Lessee is guarded by the queue.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "node/device/prefill_pace.h"
#include "node/device/scheduler.h"
#include "node/device/span_pages.h"
#include "node/device/step.h"
#include "proto/types.h"

namespace shoal::node {

struct PendingStep {
  StepInput input;
  StepDone done;
  std::int64_t rows_done = 0;
  std::chrono::steady_clock::time_point arrived;
  std::uint32_t queue_us = 0;
  std::chrono::steady_clock::duration compute{};
};

// A session as the device has it.
struct Lessee {
  proto::Span span;
  proto::PeerId peer;
  std::int64_t max_positions = 0;  // that it was promised; the lease may have shrunk
  SpanLease lease;
  std::int64_t found = 0;  // positions that it began with, until its first step
  std::deque<PendingStep> steps;
  bool in_batch = false;  // the lease must live until the batch ends
  bool closed = false;
};

struct BatchWork {
  SessionKey key = 0;
  std::shared_ptr<Lessee> session;
  PendingStep* step = nullptr;  // the session's first
  std::int64_t rows = 0;
  bool last = false;   // they end the step
  bool finite = true;  // what was computed of them
};

struct RunningBatch {
  bool decode = false;
  double weight = 0;  // of a prefill batch, under this budget
  PrefillBudget budget;
  double expected_us = 0;
  std::vector<BatchWork> work;  // those of one span stand together

  // Measured by the runner.
  double us = 0;
  std::int64_t rows = 0;
  float block_us = 0;  // through one block, of the group that ended last
};

}  // namespace shoal::node
