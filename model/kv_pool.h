// SPDX-License-Identifier: Apache-2.0
// KV pages of a span's blocks in one buffer of the executor. A lease is the right to hold pages of
// some of the blocks for so many positions: it is admitted only when the pool can keep the promise,
// so growing within a lease never fails. A lease may give back the right to what it has not filled,
// and ask for it again. A page may be kept beyond its lease, for leases to come: keeping costs the
// promise of one page, as long as it lasts. Pages that are shared are never written: a lease that
// would takes one of its own first. Not thread-safe: its owner guards it. docs/design.md, section
// 5, has the arithmetic of the promise.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/buffer.h"
#include "kernels/executor.h"
#include "kernels/kv_pages.h"
#include "kernels/step_plan.h"

namespace shoal::model {

// A page has room for so many positions: KV memory is promised and taken in whole pages.
inline constexpr std::int64_t kPagePositions = kernels::kPagePositions;

// "f32", "bf16", "f16" or "i8": the type in which keys and values are kept.
std::optional<kernels::KvDType> kv_dtype_named(std::string_view name);

struct KvShape {
  std::int64_t blocks = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  kernels::KvDType dtype = kernels::KvDType::kF32;

  // Keys and values of one page in one block; in all blocks.
  std::int64_t unit_bytes() const {
    return kPagePositions * kernels::kv_position_bytes(dtype, kv_heads, head_dim);
  }
  std::size_t page_bytes() const { return static_cast<std::size_t>(blocks * unit_bytes()); }
  // Of the block that is `block` behind the first of the lease.
  kernels::KvLayout layout(std::int64_t block) const;
};

class KvPool;

// Move-only; gives its pages back on destruction. Must not outlive its pool.
class KvLease {
 public:
  KvLease() = default;
  KvLease(KvLease&& other) noexcept;
  KvLease& operator=(KvLease&& other) noexcept;
  ~KvLease();

  std::int64_t first_block() const { return first_block_; }  // within the span
  std::int64_t blocks() const { return blocks_; }
  std::int64_t max_positions() const { return max_positions_; }
  std::int64_t promised_positions() const;             // of whole pages
  std::int64_t held_positions() const;                 // of the pages that it has
  std::int64_t position() const { return position_; }  // positions filled
  // Makes room for [position, position + rows) after truncating to `start`; CHECKs start <=
  // position() and the lease. A page to be written that others refer to is replaced by one of our
  // own, with the positions below `start` copied by the pool's executor.
  void prepare(std::int64_t start, std::int64_t rows);
  void advance(std::int64_t rows);  // after the step has run
  // Keeps the pages that it has and no promise beyond them; the positions given back.
  std::int64_t shrink();
  // False when the pool cannot promise so much.
  bool grow(std::int64_t max_positions);
  std::span<const std::int32_t> pages() const { return pages_; }  // ids
  const KvPool* pool() const { return pool_; }

 private:
  friend class KvPool;
  KvPool* pool_ = nullptr;
  std::int64_t first_block_ = 0;
  std::int64_t blocks_ = 0;
  std::int64_t max_positions_ = 0;
  std::int64_t position_ = 0;
  std::vector<std::int32_t> pages_;
};

class KvPool {
 public:
  // Room for so many positions of all blocks, in whole pages. RESOURCE_EXHAUSTED when the
  // executor's memory is short. `executor` must outlive the pool.
  static absl::StatusOr<std::unique_ptr<KvPool>> create(kernels::Executor& executor, KvShape shape,
                                                        std::int64_t positions);
  ~KvPool();
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  const KvShape& shape() const { return shape_; }
  kernels::KvPages pages() const;
  // Of all blocks, or as many as fit when leases are of so many blocks.
  std::int64_t total_positions() const { return total_positions(shape_.blocks); }
  std::int64_t total_positions(std::int64_t blocks) const;
  // Of those, not promised to any lease: as many could be leased if nothing were kept.
  std::int64_t free_positions() const { return free_positions(shape_.blocks); }
  std::int64_t free_positions(std::int64_t blocks) const;
  // Pages of all blocks that leases use; one of which a part is used counts.
  std::int64_t pages_in_use() const;
  std::int64_t kept_pages() const { return kept_pages_; }  // of any number of blocks
  // nullopt when the pool could not keep the promise. Of all blocks, or of [first_block,
  // last_block) within the span.
  std::optional<KvLease> lease(std::int64_t max_positions) {
    return lease(max_positions, 0, shape_.blocks);
  }
  std::optional<KvLease> lease(std::int64_t max_positions, std::int64_t first_block,
                               std::int64_t last_block);
  // A lease that begins with these pages, which are kept (or another lease's), filled. It has no
  // promise yet: grow() it before anything is prepared. What was kept may be dropped meanwhile.
  KvLease attach(std::int64_t first_block, std::int64_t last_block,
                 std::span<const std::int32_t> pages);
  // Keeps a page that a lease has, beyond that lease; false when the pool cannot promise it one
  // page more.
  bool keep(std::int32_t page);
  // Ends a lease and keeps these of its pages: its own promise goes over to them.
  void end(KvLease lease, std::span<const std::int32_t> kept);
  void drop(std::int32_t page);  // no longer kept
  bool is_kept(std::int32_t page) const { return kept_[static_cast<std::size_t>(page)] != 0; }
  // Gives memory of free pages that were written once back to the system, at most so many bytes of
  // it, and leaves `kept_bytes` for the next sessions; the bytes given back.
  std::size_t trim(std::size_t kept_bytes, std::size_t max_bytes);

 private:
  friend class KvLease;
  // Pages of the same number of blocks: runs of so many units, side by side in slots that are
  // theirs while any run of them is in use.
  struct RunClass {
    std::int64_t promised = 0;        // pages, to leases
    std::int64_t kept = 0;            // pages, promised to whoever keeps them
    std::int64_t used = 0;            // pages that somebody refers to, never more than both
    std::int64_t taken = 0;           // slots
    std::int64_t leased = 0;          // of those, in which a lease has a page
    std::vector<std::int32_t> slots;  // with a free run
  };
  struct Slot {
    std::int32_t blocks = 0;  // length of its runs; 0: a free slot
    std::int32_t used = 0;    // runs
    std::int32_t leased = 0;  // of those, leases refer to
    std::int32_t place = 0;   // in `slots` of its class, if one is free
  };

  KvPool(kernels::Executor& executor, KvShape shape, std::int64_t slots, kernels::Buffer memory);
  std::int64_t runs_per_slot(std::int64_t blocks) const { return shape_.blocks / blocks; }
  RunClass& runs_of(std::int64_t blocks) { return classes_[static_cast<std::size_t>(blocks)]; }
  Slot& slot_of(std::int32_t page);
  // Pages of so many blocks that could be promised, now or if nothing were kept.
  std::int64_t promisable(std::int64_t blocks, bool with_kept) const;
  bool promise(std::int64_t blocks, std::int64_t pages);
  std::int32_t take(std::int64_t blocks);
  void refer(std::int32_t page);      // a lease does
  void give_back(std::int32_t page);  // and does no longer
  void release(std::int32_t page);    // nobody refers to it any more
  bool shared(std::int32_t page) const {
    return references_[static_cast<std::size_t>(page)] + (is_kept(page) ? 1 : 0) > 1;
  }
  // Another page with the content of this one, of which a lease lets go.
  std::int32_t replace(std::int64_t blocks, std::int32_t page, bool with_content);
  void list(RunClass& runs, std::int32_t slot);
  void unlist(RunClass& runs, std::int32_t slot);

  kernels::Executor& executor_;
  const KvShape shape_;
  const kernels::Buffer memory_;
  std::vector<Slot> slots_;
  std::vector<RunClass> classes_;         // by number of blocks
  std::vector<std::int32_t> references_;  // of leases, to the page of this id
  std::vector<std::uint8_t> kept_;        // whether it is, by id
  std::int64_t kept_pages_ = 0;
  std::vector<std::int32_t> free_;  // slots; the written ones last: they are taken first
  std::size_t written_ = 0;         // of free_
};

}  // namespace shoal::model
