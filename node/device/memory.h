// SPDX-License-Identifier: Apache-2.0
// What the process does with memory that it no longer needs: buffers of activations are whole pages
// that go back at once, and after a peak the allocator is asked for the rest. settle_allocator() is
// called first thing in main; the keeper belongs to one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace shoal::node {

// Few arenas, a fixed threshold for buffers with pages of their own.
void settle_allocator();

// Decides when giving back is worth its time (some ms, with the allocator's locks held). Value
// class.
class TrimDecision {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  // Once a second: whether to give back now, by what the process has resident.
  bool due(std::int64_t resident_bytes, TimePoint now);
  // What is resident after giving back.
  void trimmed(std::int64_t resident_bytes) { floor_ = peak_ = resident_bytes; }

 private:
  std::int64_t floor_ = 0;  // after the last time
  std::int64_t peak_ = 0;   // since then
  std::int64_t last_ = 0;
  TimePoint next_{};
};

class MemoryKeeper {
 public:
  void sweep(std::chrono::steady_clock::time_point now);

 private:
  TrimDecision decision_;
};

std::int64_t resident_bytes();  // of this process; 0 when the system does not say

}  // namespace shoal::node
