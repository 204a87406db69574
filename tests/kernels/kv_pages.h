// SPDX-License-Identifier: Apache-2.0
// Sessions with page tables for attention tests: one pool of pages of two blocks, so that offsets
// matter; everything poisoned with NaN; ids in no order.
#pragma once

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/half.h"
#include "kernels/attention.h"
#include "tests/kernels/data.h"

namespace shoal::kernels {

struct Shape {
  std::int64_t heads, kv_heads, head_dim;
};

// The memory behind the ids of many sessions.
class Pages {
 public:
  Pages(const Shape& shape, std::int64_t count, DType dtype = DType::kF32)
      : half_(shape.kv_heads * kPagePositions * shape.head_dim),
        layout_{shape.kv_heads, shape.head_dim, 3 * half_, 2 * half_},
        dtype_(dtype),
        count_(count),
        bytes_(static_cast<std::size_t>(count * stride()) * dtype_bytes(dtype)) {
    for (std::int64_t i = 0; i < count * stride(); ++i) set(i, NAN);
  }

  KvPages view() { return {bytes_.data(), dtype_, Device::kCpu, stride()}; }
  const KvLayout& layout() const { return layout_; }
  std::int64_t stride() const { return 4 * half_; }  // values of a page
  DType dtype() const { return dtype_; }
  // In steps that have no divisor in common with the count, so that each is given once.
  std::int32_t take() {
    CHECK(taken_ < count_);
    const std::int64_t step = count_ % 7 != 0 ? 7 : 5;
    return static_cast<std::int32_t>((taken_++ * step + 3) % count_);
  }

  float get(std::int64_t i) const {
    if (dtype_ == DType::kF32) {
      float value;
      std::memcpy(&value, bytes_.data() + 4 * i, 4);
      return value;
    }
    std::uint16_t bits;
    std::memcpy(&bits, bytes_.data() + 2 * i, 2);
    return dtype_ == DType::kBF16 ? base::from_bf16(bits) : base::from_f16(bits);
  }
  void set(std::int64_t i, float value) {
    if (dtype_ == DType::kF32) {
      std::memcpy(bytes_.data() + 4 * i, &value, 4);
      return;
    }
    const std::uint16_t bits = dtype_ == DType::kBF16 ? base::to_bf16(value) : base::to_f16(value);
    std::memcpy(bytes_.data() + 2 * i, &bits, 2);
  }
  // Of value `i` of page `id`.
  std::int64_t at(std::int32_t id, std::int64_t i) const { return id * stride() + i; }

 private:
  std::int64_t half_;
  KvLayout layout_;
  DType dtype_;
  std::int64_t count_, taken_ = 0;
  std::vector<char> bytes_;
};

// Rows of one session in a step.
struct SessionRows {
  std::int64_t start = 0, rows = 0;
  std::vector<std::int32_t> ids;
};

inline StepPlan plan_of(Executor& executor, const std::vector<SessionRows>& sessions) {
  StepLimits limits{1, 0};
  for (const SessionRows& s : sessions) {
    limits.rows += s.rows;
    limits.pages += static_cast<std::int64_t>(s.ids.size());
  }
  StepPlan plan = StepPlan::make(executor, {}, limits).value();
  for (const SessionRows& s : sessions) plan.add(s.start, s.rows, s.ids);
  plan.seal(executor);
  return plan;
}

// One session: the keys and values of `length` positions, in plain rows and in pages.
class Session {
 public:
  Session(Random& random, const Shape& shape, std::int64_t length, std::shared_ptr<Pages> pages)
      : pages_(std::move(pages)),
        width_(shape.kv_heads * shape.head_dim),
        length_(length),
        keys_(random.normals(length * width_)),
        values_(random.normals(length * width_)) {
    for (std::int64_t p = 0; p < length; p += kPagePositions) ids_.push_back(pages_->take());
  }
  // With a pool of its own.
  Session(Random& random, const Shape& shape, std::int64_t length, DType dtype = DType::kF32)
      : Session(random, shape, length,
                std::make_shared<Pages>(shape, length / kPagePositions + 1, dtype)) {}

  Pages& pages() { return *pages_; }
  const KvLayout& layout() const { return pages_->layout(); }
  std::int64_t length() const { return length_; }
  const std::vector<std::int32_t>& ids() const { return ids_; }
  const float* key(std::int64_t position, std::int64_t head) const {
    return keys_.data() + position * width_ + head * layout().head_dim;
  }
  const float* value(std::int64_t position, std::int64_t head) const {
    return values_.data() + position * width_ + head * layout().head_dim;
  }
  SessionRows rows(std::int64_t start, std::int64_t count) const { return {start, count, ids_}; }

  // Positions [begin, end) through kv_append, as one step.
  void append(Executor& executor, std::int64_t begin, std::int64_t end) {
    const StepPlan plan = plan_of(executor, {rows(begin, end - begin)});
    const auto part = [&](const std::vector<float>& v) {
      return ConstMatrixView(v.data() + begin * width_, end - begin, width_, width_);
    };
    kv_append(executor, part(keys_), part(values_), pages_->view(), layout(), plan);
  }

 private:
  std::shared_ptr<Pages> pages_;
  std::int64_t width_, length_;
  std::vector<float> keys_, values_;
  std::vector<std::int32_t> ids_;
};

}  // namespace shoal::kernels
