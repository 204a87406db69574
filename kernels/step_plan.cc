// SPDX-License-Identifier: Apache-2.0
#include "kernels/step_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace shoal::kernels {
namespace {

constexpr std::int64_t kHeaderEntries = sizeof(StepHeader) / 4;
constexpr std::int64_t kBlockEntries = sizeof(RowBlock) / 4;

}  // namespace

// Position, begin of the pages, row block, cosines and sines.
std::int64_t StepPlan::row_entries(std::int64_t half) { return 2 + kBlockEntries + 2 * half; }

std::optional<StepPlan> StepPlan::make(Executor& executor, const Rotation& rotation,
                                       StepLimits limits) {
  CHECK(limits.rows > 0 && limits.pages >= 0) << limits.rows << " rows, " << limits.pages;
  StepPlan plan;
  plan.limits_ = limits;
  plan.inverse_frequency_.assign(rotation.inverse_frequency.begin(),
                                 rotation.inverse_frequency.end());
  plan.attention_factor_ = rotation.attention_factor;
  const std::int64_t entries =
      kHeaderEntries + limits.rows * row_entries(plan.half()) + limits.pages;
  std::optional<Buffer> memory = executor.allocate(static_cast<std::size_t>(4 * entries));
  if (!memory) return std::nullopt;
  plan.memory_ = *std::move(memory);
  const auto rows = static_cast<std::size_t>(limits.rows);
  plan.sequences_.reserve(rows);
  plan.positions_.reserve(rows);
  plan.cosines_.reserve(rows * plan.inverse_frequency_.size());
  plan.sines_.reserve(rows * plan.inverse_frequency_.size());
  plan.page_begin_.reserve(rows);
  plan.blocks_.reserve(rows);
  plan.pages_.reserve(static_cast<std::size_t>(limits.pages));
  plan.image_.reserve(static_cast<std::size_t>(entries));
  return plan;
}

void StepPlan::clear() {
  rows_ = padded_rows_ = most_positions_ = 0;
  sealed_ = false;
  sequences_.clear();
  positions_.clear();
  page_begin_.clear();
  blocks_.clear();
  image_.clear();
  cosines_.clear();
  sines_.clear();
  pages_.clear();
}

void StepPlan::add(std::int64_t start_position, std::int64_t rows,
                   std::span<const std::int32_t> pages) {
  CHECK(!sealed_) << "the step is complete";
  CHECK(rows >= 0 && rows <= limits_.rows - rows_)
      << rows_ << " + " << rows << " rows in a plan of " << limits_.rows;
  CHECK(start_position >= 0 && start_position + rows <= std::int64_t{1} << 31)
      << "position " << start_position << " + " << rows;
  const auto page_begin = static_cast<std::int64_t>(pages_.size());
  const auto page_count = static_cast<std::int64_t>(pages.size());
  CHECK(page_count <= limits_.pages - page_begin)
      << page_begin << " + " << page_count << " pages in a plan of " << limits_.pages;
  sequences_.push_back({rows_, rows, start_position, page_begin, page_count});
  pages_.insert(pages_.end(), pages.begin(), pages.end());
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t position = start_position + r;
    positions_.push_back(static_cast<std::int32_t>(position));
    for (const float frequency : inverse_frequency_) {
      const double angle = static_cast<double>(position) * static_cast<double>(frequency);
      cosines_.push_back(static_cast<float>(std::cos(angle) * attention_factor_));
      sines_.push_back(static_cast<float>(std::sin(angle) * attention_factor_));
    }
  }
  rows_ += rows;
}

void StepPlan::put(const void* from, std::int64_t entries, std::int64_t room) {
  const std::size_t at = image_.size();
  image_.resize(at + static_cast<std::size_t>(room));
  if (entries > 0) std::memcpy(image_.data() + at, from, static_cast<std::size_t>(4 * entries));
}

void StepPlan::add_row_tables() {
  for (const StepSequence& s : sequences_) {
    for (std::int64_t r = 0; r < s.rows; ++r) {
      page_begin_.push_back(static_cast<std::int32_t>(s.page_begin));
    }
    for (std::int64_t r = 0; r < s.rows; r += kRowsOfBlock) {
      blocks_.push_back({static_cast<std::int32_t>(s.row_begin + r),
                         static_cast<std::int32_t>(std::min(kRowsOfBlock, s.rows - r))});
    }
  }
}

void StepPlan::seal(Executor& executor) {
  CHECK(!sealed_ && executor.device() == device()) << "a plan of " << device_name(device());
  padded_rows_ = std::min(executor.padded_rows(rows_), limits_.rows);
  std::int64_t longest = 0;
  for (const StepSequence& s : sequences_) longest = std::max(longest, s.start_position + s.rows);
  most_positions_ = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(longest)));
  add_row_tables();
  const StepHeader header{static_cast<std::int32_t>(rows_),
                          static_cast<std::int32_t>(blocks_.size())};
  put(&header, kHeaderEntries, kHeaderEntries);
  put(positions_.data(), rows_, padded_rows_);
  put(page_begin_.data(), rows_, padded_rows_);
  put(blocks_.data(), kBlockEntries * static_cast<std::int64_t>(blocks_.size()),
      kBlockEntries * padded_rows_);
  put(cosines_.data(), rows_ * half(), padded_rows_ * half());
  put(sines_.data(), rows_ * half(), padded_rows_ * half());
  const auto pages = static_cast<std::int64_t>(pages_.size());
  put(pages_.data(), pages, pages);
  executor.upload(memory_.data(), image_.data(), 4 * image_.size());
  sealed_ = true;
}

StepTables StepPlan::tables() const {
  StepTables tables;
  std::int64_t entry = 0;
  const auto next = [&entry](std::int64_t entries) {
    return std::exchange(entry, entry + entries);
  };
  tables.header = at<StepHeader>(next(kHeaderEntries));
  tables.positions = at<std::int32_t>(next(padded_rows_));
  tables.page_begin = at<std::int32_t>(next(padded_rows_));
  tables.blocks = at<RowBlock>(next(kBlockEntries * padded_rows_));
  tables.cosines = at<float>(next(padded_rows_ * half()));
  tables.sines = at<float>(next(padded_rows_ * half()));
  tables.pages = at<std::int32_t>(entry);
  tables.half = half();
  tables.most_rows = tables.most_blocks = padded_rows_;
  tables.most_positions = most_positions_;
  return tables;
}

}  // namespace shoal::kernels
