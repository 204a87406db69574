// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "model/kv_pool.h"

namespace shoal::model {
namespace {

std::int64_t pages_for(std::int64_t positions) {
  return (positions + kPagePositions - 1) / kPagePositions;
}

}  // namespace

KvLease::KvLease(KvLease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      first_block_(std::exchange(other.first_block_, 0)),
      blocks_(std::exchange(other.blocks_, 0)),
      max_positions_(std::exchange(other.max_positions_, 0)),
      position_(std::exchange(other.position_, 0)),
      pages_(std::exchange(other.pages_, {})) {}

KvLease& KvLease::operator=(KvLease&& other) noexcept {
  KvLease old(std::move(*this));  // its pages go back when this function ends
  pool_ = std::exchange(other.pool_, nullptr);
  first_block_ = std::exchange(other.first_block_, 0);
  blocks_ = std::exchange(other.blocks_, 0);
  max_positions_ = std::exchange(other.max_positions_, 0);
  position_ = std::exchange(other.position_, 0);
  pages_ = std::exchange(other.pages_, {});
  return *this;
}

KvLease::~KvLease() {
  if (pool_ == nullptr) return;
  for (const std::int32_t page : pages_) pool_->give_back(page);
  pool_->runs_of(blocks_).promised -= pages_for(max_positions_);
}

std::int64_t KvLease::promised_positions() const {
  return pages_for(max_positions_) * kPagePositions;
}

std::int64_t KvLease::held_positions() const {
  return static_cast<std::int64_t>(pages_.size()) * kPagePositions;
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
  const auto first = static_cast<std::size_t>(start / kPagePositions);
  for (std::size_t i = first; i < pages_.size(); ++i) {
    if (!pool_->shared(pages_[i])) continue;
    const bool filled = i == first && start % kPagePositions > 0;
    pages_[i] = pool_->replace(blocks_, pages_[i], filled);
  }
  for (std::size_t i = first; i < pages_.size(); ++i) {
    CHECK(!pool_->shared(pages_[i])) << "page " << pages_[i] << " would be written and is shared";
  }
  while (pages_.size() < needed) pages_.push_back(pool_->take(blocks_));
}

void KvLease::advance(std::int64_t rows) {
  const std::int64_t room = held_positions() - position_;
  CHECK(rows >= 0 && rows <= room && position_ + rows <= max_positions_)
      << "rows " << rows << " at " << position_ << " with room for " << room;
  position_ += rows;
}

std::int64_t KvLease::shrink() {
  CHECK(pool_ != nullptr) << "an empty lease";
  const std::int64_t promised = pages_for(max_positions_);
  const auto held = static_cast<std::int64_t>(pages_.size());
  if (promised <= held) return 0;
  pool_->runs_of(blocks_).promised -= promised - held;
  max_positions_ = std::min(max_positions_, held * kPagePositions);
  return (promised - held) * kPagePositions;
}

bool KvLease::grow(std::int64_t max_positions) {
  CHECK(pool_ != nullptr) << "an empty lease";
  if (max_positions <= max_positions_) return true;
  CHECK(max_positions >= position_) << max_positions << " at position " << position_;
  if (!pool_->promise(blocks_, pages_for(max_positions) - pages_for(max_positions_))) return false;
  max_positions_ = max_positions;
  // So that taking a page allocates nothing.
  pages_.reserve(static_cast<std::size_t>(pages_for(max_positions)));
  pool_->runs_of(blocks_).slots.reserve(pool_->slots_.size());
  return true;
}

}  // namespace shoal::model
