// SPDX-License-Identifier: Apache-2.0
// A unit is one page of one block; a slot, one page of all blocks of the span, side by side. A page
// of a lease over r blocks is a run of r units within a slot, named by the first; a slot has room
// for floor(blocks / r) such runs, and holds runs of one length at a time.
//
// The promise: for each length r, its leases may still ask for `promised - held` runs. Those that
// are free in its slots serve first, whole free slots do the rest; the pool admits what leaves
//   sum over r of max(0, ceil((promised - held - free) / runs_per_slot)) <= free slots.
// Taking a run, giving one back, and ending a lease keep it true.
#include "model/kv_pool.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace shoal::model {

std::optional<kernels::KvDType> kv_dtype_named(std::string_view name) {
  for (const kernels::KvDType dtype : kernels::kKvDTypes) {
    if (name == kernels::kv_dtype_name(dtype)) return dtype;
  }
  return std::nullopt;
}

kernels::KvLayout KvShape::layout(std::int64_t block) const {
  CHECK(block >= 0 && block < blocks) << block << " of " << blocks;
  return {.kv_heads = kv_heads,
          .head_dim = head_dim,
          .key_offset_bytes = block * unit_bytes(),
          .value_offset_bytes = block * unit_bytes() + unit_bytes() / 2};
}

absl::StatusOr<std::unique_ptr<KvPool>> KvPool::create(kernels::Executor& executor, KvShape shape,
                                                       std::int64_t positions) {
  CHECK(shape.blocks > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && positions > 0);
  const std::int64_t slots = (positions + kPagePositions - 1) / kPagePositions;
  CHECK(slots <= std::numeric_limits<std::int32_t>::max() / shape.blocks) << slots << " pages";
  const std::size_t bytes = shape.page_bytes() * static_cast<std::size_t>(slots);
  std::optional<kernels::Buffer> memory = executor.allocate(bytes);
  if (!memory) {
    return absl::ResourceExhaustedError(absl::StrCat("there is no room for ", bytes,
                                                     " bytes of KV pages: keep fewer positions, or "
                                                     "raise the limit on memory"));
  }
  return std::unique_ptr<KvPool>(new KvPool(executor, shape, slots, *std::move(memory)));
}

KvPool::KvPool(kernels::Executor& executor, KvShape shape, std::int64_t slots,
               kernels::Buffer memory)
    : executor_(executor),
      shape_(shape),
      memory_(std::move(memory)),
      slots_(static_cast<std::size_t>(slots)),
      classes_(static_cast<std::size_t>(shape.blocks) + 1),
      references_(static_cast<std::size_t>(slots * shape.blocks)) {
  free_.reserve(slots_.size());
  // Taken from the back: lowest address first.
  for (std::int64_t i = slots - 1; i >= 0; --i) free_.push_back(static_cast<std::int32_t>(i));
}

KvPool::~KvPool() {
  for (const RunClass& runs : classes_) CHECK(runs.promised == 0) << "a lease outlives its pool";
}

kernels::KvPages KvPool::pages() const {
  return {.data = memory_.data(),
          .dtype = shape_.dtype,
          .device = memory_.device(),
          .stride_bytes = shape_.unit_bytes()};
}

std::int64_t KvPool::total_positions(std::int64_t blocks) const {
  CHECK(blocks > 0 && blocks <= shape_.blocks) << blocks << " blocks of " << shape_.blocks;
  return static_cast<std::int64_t>(slots_.size()) * runs_per_slot(blocks) * kPagePositions;
}

std::int64_t KvPool::free_positions(std::int64_t blocks) const {
  CHECK(blocks > 0 && blocks <= shape_.blocks) << blocks << " blocks of " << shape_.blocks;
  auto slots = static_cast<std::int64_t>(free_.size());
  for (std::int64_t r = 1; r <= shape_.blocks; ++r) {
    if (r != blocks) slots -= slots_needed(r);
  }
  const RunClass& runs = classes_[static_cast<std::size_t>(blocks)];
  const std::int64_t open = runs.promised - runs.held;
  return (slots * runs_per_slot(blocks) + runs.free - open) * kPagePositions;
}

std::int64_t KvPool::pages_in_use() const {
  return static_cast<std::int64_t>(slots_.size() - free_.size());
}

std::int64_t KvPool::slots_needed(std::int64_t blocks) const {
  const RunClass& runs = classes_[static_cast<std::size_t>(blocks)];
  const std::int64_t open = runs.promised - runs.held - runs.free;
  const std::int64_t each = runs_per_slot(blocks);
  return open > 0 ? (open + each - 1) / each : 0;
}

bool KvPool::promise(std::int64_t blocks, std::int64_t pages) {
  if (pages > free_positions(blocks) / kPagePositions) return false;
  runs_of(blocks).promised += pages;
  return true;
}

std::optional<KvLease> KvPool::lease(std::int64_t max_positions, std::int64_t first_block,
                                     std::int64_t last_block) {
  CHECK(0 <= first_block && first_block < last_block && last_block <= shape_.blocks)
      << "blocks " << first_block << ":" << last_block << " of " << shape_.blocks;
  const std::int64_t blocks = last_block - first_block;
  if (max_positions <= 0 || max_positions > total_positions(blocks)) {
    return std::nullopt;
  }
  const std::int64_t pages = (max_positions + kPagePositions - 1) / kPagePositions;
  if (!promise(blocks, pages)) return std::nullopt;
  runs_of(blocks).slots.reserve(slots_.size());  // so that taking a page allocates nothing
  KvLease lease;
  lease.pool_ = this;
  lease.first_block_ = first_block;
  lease.blocks_ = blocks;
  lease.max_positions_ = max_positions;
  lease.pages_.reserve(static_cast<std::size_t>(pages));
  return lease;
}

KvPool::Slot& KvPool::slot_of(std::int32_t page) {
  return slots_[static_cast<std::size_t>(page / shape_.blocks)];
}

void KvPool::list(RunClass& runs, std::int32_t slot) {
  slots_[static_cast<std::size_t>(slot)].place = static_cast<std::int32_t>(runs.slots.size());
  runs.slots.push_back(slot);
}
void KvPool::unlist(RunClass& runs, std::int32_t slot) {
  const std::int32_t place = slots_[static_cast<std::size_t>(slot)].place;
  const std::int32_t last = runs.slots.back();
  runs.slots[static_cast<std::size_t>(place)] = last;
  slots_[static_cast<std::size_t>(last)].place = place;
  runs.slots.pop_back();
}

std::int32_t KvPool::take(std::int64_t blocks) {
  RunClass& runs = runs_of(blocks);
  const std::int64_t each = runs_per_slot(blocks);
  CHECK(runs.held < runs.promised) << "more than was promised";
  if (runs.slots.empty()) {
    CHECK(!free_.empty()) << "a promise of the pool was broken";
    const std::int32_t slot = free_.back();
    free_.pop_back();
    if (written_ > 0) --written_;
    slots_[static_cast<std::size_t>(slot)].blocks = static_cast<std::int32_t>(blocks);
    runs.free += each;
    list(runs, slot);
  }
  const std::int32_t index = runs.slots.back();
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  auto page = static_cast<std::int32_t>(index * shape_.blocks);
  while (references_[static_cast<std::size_t>(page)] != 0) page += slot.blocks;
  references_[static_cast<std::size_t>(page)] = 1;
  --runs.free;
  ++runs.held;
  if (++slot.used == each) unlist(runs, index);
  return page;
}

void KvPool::give_back(std::int64_t blocks, std::int32_t page) {
  --runs_of(blocks).held;
  release(page);
}

void KvPool::retain(std::int32_t page) {
  std::int32_t& references = references_.at(static_cast<std::size_t>(page));
  CHECK(references > 0) << "page " << page << " is nobody's";
  ++references;
}

void KvPool::release(std::int32_t page) {
  std::int32_t& references = references_.at(static_cast<std::size_t>(page));
  CHECK(references > 0) << "page " << page << " given back twice";
  if (--references > 0) return;
  Slot& slot = slot_of(page);
  const auto index = static_cast<std::int32_t>(page / shape_.blocks);
  RunClass& runs = runs_of(slot.blocks);
  const std::int64_t each = runs_per_slot(slot.blocks);
  if (slot.used == each) list(runs, index);
  ++runs.free;
  if (--slot.used > 0) return;
  unlist(runs, index);
  runs.free -= each;
  slot.blocks = 0;
  free_.push_back(index);
  ++written_;
}

std::size_t KvPool::trim(std::size_t kept_bytes, std::size_t max_bytes) {
  const std::size_t page_bytes = shape_.page_bytes();
  const std::size_t kept = kept_bytes / page_bytes;
  if (written_ <= kept) return 0;
  const std::size_t count = std::min(written_ - kept, max_bytes / page_bytes);
  const std::size_t first = free_.size() - written_;
  auto* const memory = static_cast<char*>(memory_.data());
  for (std::size_t i = first; i < first + count; ++i) {
    char* const page = memory + static_cast<std::size_t>(free_[i]) * page_bytes;
    executor_.discard(page, page + page_bytes);
  }
  written_ -= count;
  return count * page_bytes;
}

}  // namespace shoal::model
