// SPDX-License-Identifier: Apache-2.0
#include "kernels/step_plan.h"

#include <cmath>
#include <utility>

#include "base/check.h"

namespace shoal::kernels {

std::optional<StepPlan> StepPlan::make(Executor& executor, const Rotation& rotation,
                                       StepLimits limits) {
  CHECK(limits.rows > 0 && limits.pages >= 0) << limits.rows << " rows, " << limits.pages;
  StepPlan plan;
  plan.limits_ = limits;
  plan.inverse_frequency_.assign(rotation.inverse_frequency.begin(),
                                 rotation.inverse_frequency.end());
  plan.attention_factor_ = rotation.attention_factor;
  std::optional<Buffer> memory =
      executor.allocate(static_cast<std::size_t>(4 * (plan.page_begin() + limits.pages)));
  if (!memory) return std::nullopt;
  plan.memory_ = *std::move(memory);
  const auto rows = static_cast<std::size_t>(limits.rows);
  plan.sequences_.reserve(rows);
  plan.positions_.reserve(rows);
  plan.cosines_.reserve(rows * plan.inverse_frequency_.size());
  plan.sines_.reserve(rows * plan.inverse_frequency_.size());
  plan.pages_.reserve(static_cast<std::size_t>(limits.pages));
  return plan;
}

void StepPlan::clear() {
  rows_ = 0;
  sealed_ = false;
  sequences_.clear();
  positions_.clear();
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

void StepPlan::send(Executor& executor, std::int64_t entry, const void* from, std::int64_t count) {
  executor.upload(static_cast<char*>(memory_.data()) + 4 * entry, from,
                  static_cast<std::size_t>(4 * count));
}

void StepPlan::seal(Executor& executor) {
  CHECK(!sealed_ && executor.device() == device()) << "a plan of " << device_name(device());
  send(executor, 0, cosines_.data(), rows_ * half());
  send(executor, limits_.rows * half(), sines_.data(), rows_ * half());
  send(executor, position_begin(), positions_.data(), rows_);
  send(executor, page_begin(), pages_.data(), static_cast<std::int64_t>(pages_.size()));
  sealed_ = true;
}

}  // namespace shoal::kernels
