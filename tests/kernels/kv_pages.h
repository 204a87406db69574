// SPDX-License-Identifier: Apache-2.0
// Sessions with page tables for attention tests: pages of two blocks, so that offsets matter;
// everything poisoned with NaN.
#pragma once

#include <cmath>
#include <memory>
#include <vector>

#include "kernels/attention.h"
#include "tests/kernels/data.h"

namespace shoal::kernels {

struct Shape {
  std::int64_t heads, kv_heads, head_dim;
};

// One session: the keys and values of `length` positions, in plain rows and in pages.
class Session {
 public:
  Session(Random& random, const Shape& shape, std::int64_t length)
      : layout_{shape.kv_heads, shape.head_dim, 3 * block(shape), 2 * block(shape)},
        width_(shape.kv_heads * shape.head_dim),
        length_(length),
        keys_(random.normals(length * width_)),
        values_(random.normals(length * width_)) {
    for (std::int64_t p = 0; p < length; p += kPagePositions) {
      storage_.emplace_back(static_cast<std::size_t>(4 * block(shape)), NAN);
      pages_.push_back(storage_.back().data());
    }
  }

  KvLayout layout() const { return layout_; }
  std::int64_t length() const { return length_; }
  std::vector<float*>& pages() { return pages_; }
  const float* key(std::int64_t position, std::int64_t head) const {
    return keys_.data() + position * width_ + head * layout_.head_dim;
  }
  const float* value(std::int64_t position, std::int64_t head) const {
    return values_.data() + position * width_ + head * layout_.head_dim;
  }

  AttentionSequence sequence(std::int64_t row_begin, std::int64_t start, std::int64_t rows) const {
    return {row_begin, rows, start, pages_};
  }
  // Positions [begin, end) through kv_append, as one step.
  void append(Executor& executor, std::int64_t begin, std::int64_t end) {
    const AttentionSequence s = sequence(0, begin, end - begin);
    const auto rows = [&](const std::vector<float>& v) {
      return ConstMatrixView(v.data() + begin * width_, end - begin, width_, width_);
    };
    kv_append(executor, rows(keys_), rows(values_), layout_, {&s, 1});
  }

 private:
  static std::int64_t block(const Shape& s) { return s.kv_heads * kPagePositions * s.head_dim; }

  KvLayout layout_;
  std::int64_t width_, length_;
  std::vector<float> keys_, values_;
  std::vector<std::vector<float>> storage_;
  std::vector<float*> pages_;
};

}  // namespace shoal::kernels
