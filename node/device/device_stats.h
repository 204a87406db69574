// SPDX-License-Identifier: Apache-2.0
// What the device tells of itself: its load, and what each session has of the KV pool. Plain
// values.
#pragma once

#include <cstdint>

namespace shoal::node {

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
  std::int64_t kept_pages = 0;         // for later sessions
  std::uint64_t reused_positions = 0;  // that sessions did not compute, since they were kept
  std::int64_t sessions = 0;
  std::int64_t queued_steps = 0;
  std::uint64_t batches = 0;
  std::uint64_t batched_rows = 0;
  std::uint64_t prefill_batches = 0;  // of `batches`
  double computing_s = 0;             // of all batches
  std::uint64_t head_rows = 0;        // that the head scored
  std::uint64_t head_calls = 0;       // of many rows each
  float block_step_us = 0;            // one decode row through one block, moving average
};

}  // namespace shoal::node
