// SPDX-License-Identifier: Apache-2.0
// KV pages, shared by all blocks of a span. A lease is the right to hold pages for so many
// positions: it is admitted only when the pool can keep the promise, so growing within a lease
// never fails. A lease may give back the right to what it has not filled, and ask for it again. Not
// thread-safe: the device thread owns it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/attention.h"

namespace shoal::model {

struct KvShape {
  std::int64_t blocks = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;

  std::int64_t page_floats() const {
    return blocks * 2 * kv_heads * kernels::kPagePositions * head_dim;
  }
  std::size_t page_bytes() const { return static_cast<std::size_t>(page_floats()) * sizeof(float); }
  kernels::KvLayout layout(std::int64_t block_in_span) const;
};

class KvPool;

// Move-only; gives its pages back on destruction. Must not outlive its pool.
class KvLease {
 public:
  KvLease() = default;
  KvLease(KvLease&& other) noexcept;
  KvLease& operator=(KvLease&& other) noexcept;
  ~KvLease();

  std::int64_t max_positions() const { return max_positions_; }
  std::int64_t promised_positions() const;             // of whole pages
  std::int64_t position() const { return position_; }  // positions filled
  // Makes room for [position, position + rows) after truncating to `start`; CHECKs start <=
  // position() and the lease.
  void prepare(std::int64_t start, std::int64_t rows);
  void advance(std::int64_t rows);  // after the step has run
  // Keeps the pages that are filled and no promise beyond them; the positions given back.
  std::int64_t shrink();
  // False when the pool cannot promise so much.
  bool grow(std::int64_t max_positions);
  std::span<float* const> pages() const { return pages_; }

 private:
  friend class KvPool;
  KvPool* pool_ = nullptr;
  std::int64_t max_positions_ = 0;
  std::int64_t position_ = 0;
  std::vector<float*> pages_;
};

class KvPool {
 public:
  KvPool(KvShape shape, std::int64_t page_count);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  const KvShape& shape() const { return shape_; }
  std::int64_t total_positions() const;
  std::int64_t free_positions() const;  // not promised to any lease
  std::int64_t pages_in_use() const;    // held by leases now
  // nullopt when the pool could not keep the promise.
  std::optional<KvLease> lease(std::int64_t max_positions);
  // Gives memory of free pages that were written once back to the kernel, at most so many bytes of
  // it, and leaves `kept_bytes` for the next sessions; the bytes given back.
  std::size_t trim(std::size_t kept_bytes, std::size_t max_bytes);

 private:
  friend class KvLease;
  float* take();
  void give_back(float* page);

  KvShape shape_;
  std::int64_t page_count_ = 0;
  std::int64_t promised_pages_ = 0;
  std::vector<float*> free_;  // the written ones last: they are taken first
  std::size_t written_ = 0;   // of free_
  void* memory_ = nullptr;
  std::size_t memory_bytes_ = 0;
};

}  // namespace shoal::model
