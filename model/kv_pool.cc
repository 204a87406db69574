// SPDX-License-Identifier: Apache-2.0
#include "model/kv_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/check.h"

namespace shoal::model {
namespace {

std::int64_t pages_for(std::int64_t positions) {
  return (positions + kernels::kPagePositions - 1) / kernels::kPagePositions;
}

}  // namespace

kernels::KvLayout KvShape::layout(std::int64_t block_in_span) const {
  CHECK(block_in_span >= 0 && block_in_span < blocks) << block_in_span << " of " << blocks;
  const std::int64_t half = kv_heads * kernels::kPagePositions * head_dim;
  return {.kv_heads = kv_heads,
          .head_dim = head_dim,
          .key_offset = block_in_span * 2 * half,
          .value_offset = (block_in_span * 2 + 1) * half};
}

KvLease::KvLease(KvLease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      max_positions_(std::exchange(other.max_positions_, 0)),
      position_(std::exchange(other.position_, 0)),
      pages_(std::exchange(other.pages_, {})) {}

KvLease& KvLease::operator=(KvLease&& other) noexcept {
  KvLease old(std::move(*this));  // its pages go back when this function ends
  pool_ = std::exchange(other.pool_, nullptr);
  max_positions_ = std::exchange(other.max_positions_, 0);
  position_ = std::exchange(other.position_, 0);
  pages_ = std::exchange(other.pages_, {});
  return *this;
}

KvLease::~KvLease() {
  if (pool_ == nullptr) return;
  for (float* page : pages_) pool_->give_back(page);
  pool_->promised_pages_ -= pages_for(max_positions_);
}

std::int64_t KvLease::promised_positions() const {
  return pages_for(max_positions_) * kernels::kPagePositions;
}

void KvLease::prepare(std::int64_t start, std::int64_t rows) {
  CHECK(pool_ != nullptr) << "an empty lease";
  CHECK(start >= 0 && start <= position_) << "start " << start << " at position " << position_;
  CHECK(rows >= 0 && rows <= max_positions_ - start)
      << "rows " << rows << " from " << start << " of " << max_positions_;
  position_ = start;
  const std::size_t needed = static_cast<std::size_t>(pages_for(start + rows));
  while (pages_.size() > needed) {
    pool_->give_back(pages_.back());
    pages_.pop_back();
  }
  while (pages_.size() < needed) pages_.push_back(pool_->take());
}

void KvLease::advance(std::int64_t rows) {
  const std::int64_t room =
      static_cast<std::int64_t>(pages_.size()) * kernels::kPagePositions - position_;
  CHECK(rows >= 0 && rows <= room && position_ + rows <= max_positions_)
      << "rows " << rows << " at " << position_ << " with room for " << room;
  position_ += rows;
}

std::int64_t KvLease::shrink() {
  CHECK(pool_ != nullptr) << "an empty lease";
  const std::int64_t promised = pages_for(max_positions_);
  const auto held = static_cast<std::int64_t>(pages_.size());
  pool_->promised_pages_ -= promised - held;
  max_positions_ = std::min(max_positions_, held * kernels::kPagePositions);
  return (promised - held) * kernels::kPagePositions;
}

bool KvLease::grow(std::int64_t max_positions) {
  CHECK(pool_ != nullptr) << "an empty lease";
  if (max_positions <= max_positions_) return true;
  const std::int64_t more = pages_for(max_positions) - pages_for(max_positions_);
  if (more * kernels::kPagePositions > pool_->free_positions()) return false;
  pool_->promised_pages_ += more;
  max_positions_ = max_positions;
  pages_.reserve(static_cast<std::size_t>(pages_for(max_positions)));
  return true;
}

KvPool::KvPool(KvShape shape, std::int64_t page_count) : shape_(shape), page_count_(page_count) {
  CHECK(shape.blocks > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && page_count > 0);
  memory_bytes_ = shape.page_bytes() * static_cast<std::size_t>(page_count);
  // Committed by the kernel when a page is first written: a pool may be sized generously.
  memory_ = ::mmap(nullptr, memory_bytes_, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(memory_ != MAP_FAILED) << "no address space for " << memory_bytes_ << " bytes of KV pages";
  free_.reserve(static_cast<std::size_t>(page_count));
  float* const first = static_cast<float*>(memory_);
  for (std::int64_t i = page_count - 1; i >= 0; --i) {
    free_.push_back(first + i * shape.page_floats());  // taken from the back: lowest address first
  }
}

KvPool::~KvPool() {
  CHECK(promised_pages_ == 0) << "a lease outlives its pool";
  ::munmap(memory_, memory_bytes_);
}

std::int64_t KvPool::total_positions() const { return page_count_ * kernels::kPagePositions; }

std::int64_t KvPool::free_positions() const {
  return (page_count_ - promised_pages_) * kernels::kPagePositions;
}

std::int64_t KvPool::pages_in_use() const {
  return page_count_ - static_cast<std::int64_t>(free_.size());
}

std::optional<KvLease> KvPool::lease(std::int64_t max_positions) {
  if (max_positions <= 0 || max_positions > free_positions()) return std::nullopt;
  KvLease lease;
  lease.pool_ = this;
  lease.max_positions_ = max_positions;
  promised_pages_ += pages_for(max_positions);
  lease.pages_.reserve(static_cast<std::size_t>(pages_for(max_positions)));
  return lease;
}

float* KvPool::take() {
  CHECK(!free_.empty()) << "a promise of the pool was broken";
  float* page = free_.back();
  free_.pop_back();
  if (written_ > 0) --written_;
  return page;
}

void KvPool::give_back(float* page) {
  CHECK(static_cast<std::int64_t>(free_.size()) < page_count_) << "a page given back twice";
  free_.push_back(page);
  ++written_;
}

std::size_t KvPool::trim(std::size_t kept_bytes, std::size_t max_bytes) {
  const std::size_t page_bytes = shape_.page_bytes();
  const std::size_t kept = kept_bytes / page_bytes;
  if (written_ <= kept) return 0;
  const std::size_t count = std::min(written_ - kept, max_bytes / page_bytes);
  const std::size_t first = free_.size() - written_;
  const auto unit = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (std::size_t i = first; i < first + count; ++i) {
    // Only what the page has for itself: its neighbours may be in use.
    const auto begin = (reinterpret_cast<std::uintptr_t>(free_[i]) + unit - 1) / unit * unit;
    const auto end = (reinterpret_cast<std::uintptr_t>(free_[i]) + page_bytes) / unit * unit;
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  written_ -= count;
  return count * page_bytes;
}

}  // namespace shoal::model
