// SPDX-License-Identifier: Apache-2.0
// A unit is one page of one block; a slot, one page of all blocks of the span, side by side. A page
// of a lease over r blocks is a run of r units within a slot, named by the first; a slot has room
// for floor(blocks / r) such runs, and holds runs of one length at a time.
//
// The promise: whatever happens, the pages of length r that somebody refers to are never more than
// those promised to leases and those kept, for each of them stands in a lease's promise or is kept,
// however many leases share it. Slots that hold such pages already serve first, free slots do the
// rest; the pool admits what leaves
//   sum over r of max(0, ceil((promised + kept) / runs_per_slot) - slots of r) <= free slots.
// Taking a page, giving one back, replacing a shared one and ending a lease keep it true. What
// could be leased if nothing were kept is the same sum without the kept pages and the slots that
// hold nothing else.
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
      references_(static_cast<std::size_t>(slots * shape.blocks)),
      kept_(references_.size()) {
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
  return promisable(blocks, false) * kPagePositions;
}

std::int64_t KvPool::promisable(std::int64_t blocks, bool with_kept) const {
  CHECK(blocks > 0 && blocks <= shape_.blocks) << blocks << " blocks of " << shape_.blocks;
  auto free = static_cast<std::int64_t>(free_.size());  // slots
  std::int64_t own = 0, promised = 0;                   // of this length
  for (std::int64_t r = 1; r <= shape_.blocks; ++r) {
    const RunClass& runs = classes_[static_cast<std::size_t>(r)];
    const std::int64_t each = runs_per_slot(r);
    const std::int64_t all = runs.promised + (with_kept ? runs.kept : 0);
    const std::int64_t slots = with_kept ? runs.taken : runs.leased;
    free += runs.taken - slots;
    if (r == blocks) {
      own = slots;
      promised = all;
    } else {
      free -= std::max<std::int64_t>(0, (all + each - 1) / each - slots);
    }
  }
  return (free + own) * runs_per_slot(blocks) - promised;
}

std::int64_t KvPool::pages_in_use() const {
  std::int64_t slots = 0;
  for (const RunClass& runs : classes_) slots += runs.leased;
  return slots;
}

bool KvPool::promise(std::int64_t blocks, std::int64_t pages) {
  if (pages > promisable(blocks, true)) return false;
  runs_of(blocks).promised += pages;
  return true;
}

std::optional<KvLease> KvPool::lease(std::int64_t max_positions, std::int64_t first_block,
                                     std::int64_t last_block) {
  KvLease lease = attach(first_block, last_block, {});
  if (max_positions <= 0 || !lease.grow(max_positions)) return std::nullopt;
  return lease;
}

KvLease KvPool::attach(std::int64_t first_block, std::int64_t last_block,
                       std::span<const std::int32_t> pages) {
  CHECK(0 <= first_block && first_block < last_block && last_block <= shape_.blocks)
      << "blocks " << first_block << ":" << last_block << " of " << shape_.blocks;
  KvLease lease;
  lease.pool_ = this;
  lease.first_block_ = first_block;
  lease.blocks_ = last_block - first_block;
  lease.pages_.assign(pages.begin(), pages.end());
  lease.position_ = lease.held_positions();
  for (const std::int32_t page : pages) {
    CHECK(slot_of(page).blocks == lease.blocks_) << "page " << page << " is of another length";
    CHECK(is_kept(page) || references_[static_cast<std::size_t>(page)] > 0)
        << "page " << page << " is nobody's";
    refer(page);
  }
  return lease;
}

bool KvPool::keep(std::int32_t page) {
  const std::int64_t blocks = slot_of(page).blocks;
  CHECK(references_.at(static_cast<std::size_t>(page)) > 0 && !is_kept(page)) << "page " << page;
  if (promisable(blocks, true) < 1) return false;
  kept_[static_cast<std::size_t>(page)] = 1;
  ++runs_of(blocks).kept;
  ++kept_pages_;
  return true;
}

void KvPool::end(KvLease lease, std::span<const std::int32_t> kept) {
  CHECK(lease.pool_ == this && std::ssize(kept) <= lease.held_positions() / kPagePositions &&
        lease.held_positions() <= lease.promised_positions())
      << kept.size() << " pages of " << lease.pages_.size();
  for (const std::int32_t page : kept) {
    CHECK(references_.at(static_cast<std::size_t>(page)) > 0 && !is_kept(page)) << "page " << page;
    kept_[static_cast<std::size_t>(page)] = 1;
  }
  runs_of(lease.blocks_).kept += std::ssize(kept);
  kept_pages_ += std::ssize(kept);
}

void KvPool::drop(std::int32_t page) {
  CHECK(is_kept(page)) << "page " << page << " is not kept";
  kept_[static_cast<std::size_t>(page)] = 0;
  --runs_of(slot_of(page).blocks).kept;
  --kept_pages_;
  if (references_[static_cast<std::size_t>(page)] == 0) release(page);
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
  CHECK(runs.used < runs.promised + runs.kept) << "more than was promised";
  if (runs.slots.empty()) {
    CHECK(!free_.empty()) << "a promise of the pool was broken";
    const std::int32_t slot = free_.back();
    free_.pop_back();
    if (written_ > 0) --written_;
    slots_[static_cast<std::size_t>(slot)].blocks = static_cast<std::int32_t>(blocks);
    ++runs.taken;
    list(runs, slot);
  }
  const std::int32_t index = runs.slots.back();
  Slot& slot = slots_[static_cast<std::size_t>(index)];
  auto page = static_cast<std::int32_t>(index * shape_.blocks);
  while (references_[static_cast<std::size_t>(page)] != 0 || is_kept(page)) page += slot.blocks;
  ++runs.used;
  if (++slot.used == each) unlist(runs, index);
  refer(page);
  return page;
}

void KvPool::refer(std::int32_t page) {
  if (references_[static_cast<std::size_t>(page)]++ > 0) return;
  Slot& slot = slot_of(page);
  if (slot.leased++ == 0) ++runs_of(slot.blocks).leased;
}

void KvPool::give_back(std::int32_t page) {
  std::int32_t& references = references_.at(static_cast<std::size_t>(page));
  CHECK(references > 0) << "page " << page << " given back twice";
  if (--references > 0) return;
  Slot& slot = slot_of(page);
  if (--slot.leased == 0) --runs_of(slot.blocks).leased;
  if (!is_kept(page)) release(page);
}

void KvPool::release(std::int32_t page) {
  Slot& slot = slot_of(page);
  const auto index = static_cast<std::int32_t>(page / shape_.blocks);
  RunClass& runs = runs_of(slot.blocks);
  if (slot.used == runs_per_slot(slot.blocks)) list(runs, index);
  --runs.used;
  if (--slot.used > 0) return;
  unlist(runs, index);
  --runs.taken;
  slot.blocks = 0;
  free_.push_back(index);
  ++written_;
}

std::int32_t KvPool::replace(std::int64_t blocks, std::int32_t page, bool with_content) {
  const std::int32_t own = take(blocks);
  if (with_content) {
    const auto unit = static_cast<std::size_t>(shape_.unit_bytes());
    char* const memory = static_cast<char*>(memory_.data());
    executor_.copy(memory + static_cast<std::size_t>(own) * unit,
                   memory + static_cast<std::size_t>(page) * unit,
                   unit * static_cast<std::size_t>(blocks));
  }
  give_back(page);
  return own;
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
