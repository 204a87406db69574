// SPDX-License-Identifier: Apache-2.0
// Sessions with page tables for attention tests: one pool of pages of two blocks, so that offsets
// matter; everything poisoned with NaN; ids in no order. The pool goes to the executor that is
// given its view, and comes back when the host looks into it.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/rotate_append.h"
#include "tests/kernels/data.h"
#include "tests/reference/kv.h"

namespace shoal::kernels {

struct Shape {
  std::int64_t heads, kv_heads, head_dim;
};

enum class Side { kKeys, kValues };

// The memory behind the ids of many sessions.
class Pages {
 public:
  Pages(const Shape& shape, std::int64_t count, KvDType dtype = KvDType::kF32)
      : vector_bytes_(kv_vector_bytes(dtype, shape.head_dim)),
        half_(shape.kv_heads * kPagePositions * vector_bytes_),
        layout_{shape.kv_heads, shape.head_dim, 3 * half_, 2 * half_},
        dtype_(dtype),
        count_(count),
        bytes_(std::vector<char>(static_cast<std::size_t>(count * stride()), kPoison)) {}

  KvPages view(Executor& executor) {
    return {bytes_.at(executor), dtype_, executor.device(), stride()};
  }
  const KvLayout& layout() const { return layout_; }
  std::int64_t stride() const { return 4 * half_; }  // bytes of a page
  KvDType dtype() const { return dtype_; }
  const std::vector<char>& bytes() const { return bytes_.host(); }
  // In steps that have no divisor in common with the count, so that each is given once.
  std::int32_t take() {
    CHECK(taken_ < count_);
    const std::int64_t step = count_ % 7 != 0 ? 7 : 5;
    return static_cast<std::int32_t>((taken_++ * step + 3) % count_);
  }

  // The vector of a position, the page's own or the session's, as it is read: [head_dim].
  std::vector<float> get(std::int32_t id, Side side, std::int64_t position,
                         std::int64_t head) const {
    reference::KeptVector kept;
    const std::int64_t at = tile(id, side, head), slot = position % kPagePositions;
    const char* const all = bytes_.host().data();
    const char* const from = all + at + slot * values_bytes();
    kept.values.assign(from, from + values_bytes());
    if (dtype_ == KvDType::kI8) {
      std::memcpy(&kept.scale, all + scale_at(at, slot), sizeof(float));
    }
    return reference::read(dtype_, kept, layout_.head_dim);
  }
  // x [head_dim], kept as the law says.
  void put(std::int32_t id, Side side, std::int64_t position, std::int64_t head, const float* x) {
    const reference::KeptVector kept = reference::keep(dtype_, x, layout_.head_dim);
    const std::int64_t at = tile(id, side, head), slot = position % kPagePositions;
    char* const all = bytes_.host().data();
    std::memcpy(all + at + slot * values_bytes(), kept.values.data(), kept.values.size());
    if (dtype_ == KvDType::kI8) {
      std::memcpy(all + scale_at(at, slot), &kept.scale, sizeof(float));
    }
  }
  void copy_page(std::int32_t from, std::int32_t to) {
    char* const all = bytes_.host().data();
    std::memcpy(all + to * stride(), all + from * stride(), static_cast<std::size_t>(stride()));
  }

 private:
  static constexpr char kPoison = '\xff';  // NaN in every type of float, and so in the scale of i8

  std::int64_t values_bytes() const { return vector_bytes_ - (dtype_ == KvDType::kI8 ? 4 : 0); }
  std::int64_t tile(std::int32_t id, Side side, std::int64_t head) const {
    const std::int64_t offset =
        side == Side::kKeys ? layout_.key_offset_bytes : layout_.value_offset_bytes;
    return id * stride() + offset + head * kPagePositions * vector_bytes_;
  }
  std::int64_t scale_at(std::int64_t tile, std::int64_t slot) const {
    return tile + kPagePositions * values_bytes() + 4 * slot;
  }

  std::int64_t vector_bytes_, half_;
  KvLayout layout_;
  KvDType dtype_;
  std::int64_t count_, taken_ = 0;
  Placed<char> bytes_;
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
  limits.rows = executor.padded_rows(limits.rows);
  StepPlan plan = StepPlan::make(executor, {}, limits).value();
  for (const SessionRows& s : sessions) plan.add(s.start, s.rows, s.ids);
  plan.seal(executor);
  return plan;
}

// Keys and values as they are, without queries.
inline void append(Executor& executor, const MatrixView& keys, const MatrixView& values,
                   Pages& pages, const StepPlan& plan) {
  ProjectedRows rows{.q = keys, .k = keys, .v = values};
  rows.q.cols = 0;
  rotate_append(executor, rows, pages.view(executor), pages.layout(), plan);
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
  Session(Random& random, const Shape& shape, std::int64_t length, KvDType dtype = KvDType::kF32)
      : Session(random, shape, length,
                std::make_shared<Pages>(shape, length / kPagePositions + 1, dtype)) {}

  Pages& pages() { return *pages_; }
  KvDType dtype() const { return pages_->dtype(); }
  const KvLayout& layout() const { return pages_->layout(); }
  std::int64_t length() const { return length_; }
  const std::vector<std::int32_t>& ids() const { return ids_; }
  const float* key(std::int64_t position, std::int64_t head) const {
    return keys_.data() + position * width_ + head * layout().head_dim;
  }
  const float* value(std::int64_t position, std::int64_t head) const {
    return values_.data() + position * width_ + head * layout().head_dim;
  }
  // Before it is appended.
  float* key(std::int64_t position, std::int64_t head) {
    return keys_.data() + position * width_ + head * layout().head_dim;
  }
  float* value(std::int64_t position, std::int64_t head) {
    return values_.data() + position * width_ + head * layout().head_dim;
  }
  std::int32_t page_of(std::int64_t position) const {
    return ids_[static_cast<std::size_t>(position / kPagePositions)];
  }
  SessionRows rows(std::int64_t start, std::int64_t count) const { return {start, count, ids_}; }

  // Positions [begin, end), as one step.
  void append(Executor& executor, std::int64_t begin, std::int64_t end) {
    const StepPlan plan = plan_of(executor, {rows(begin, end - begin)});
    const auto part = [&](const std::vector<float>& v) {
      return Guarded({v.begin() + begin * width_, v.begin() + end * width_}, end - begin, width_);
    };
    Guarded keys = part(keys_), values = part(values_);
    kernels::append(executor, keys.view(executor, plan), values.view(executor, plan), *pages_,
                    plan);
  }

 private:
  std::shared_ptr<Pages> pages_;
  std::int64_t width_, length_;
  std::vector<float> keys_, values_;
  std::vector<std::int32_t> ids_;
};

}  // namespace shoal::kernels
