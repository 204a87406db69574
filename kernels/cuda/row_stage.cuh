// SPDX-License-Identifier: Apache-2.0
// Rows that a CTA keeps in shared memory and norms there, in front of a product: each CTA does it
// for itself, while its first weights are on their way. So a norm is no launch of its own where
// rows are so few that a launch weighs most.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/norm.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kMostStagedRows = 2;
// So that a CTA has room on every card, with what else it needs, and of half of it three have.
inline constexpr std::int64_t kMostStagedBytes = 64 << 10;

struct StageNorm {
  const void* weight = nullptr;  // none: rows stay as they are
  DType dtype = DType::kF32;
  float eps = 0.0f;
};

constexpr std::int64_t staged_bytes(const ConstRows& x) {
  return x.rows * x.cols * static_cast<std::int64_t>(sizeof(float));
}
// With what each row is multiplied by.
constexpr std::size_t staged_shared_bytes(const ConstRows& x) {
  return static_cast<std::size_t>(staged_bytes(x)) + 16;
}
// Rows begin at multiples of 16 bytes and are whole runs of them.
inline bool can_stage(const ConstRows& x) {
  return x.rows >= 1 && x.rows <= kMostStagedRows && staged_bytes(x) <= kMostStagedBytes &&
         reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && x.cols % 4 == 0 && x.stride % 4 == 0;
}

inline StageNorm stage_norm(const InputNorm* norm) {
  if (norm == nullptr) return {};
  return {norm->weight, norm->dtype, norm->eps};
}

class RowStage {
 public:
  SHOAL_DEVICE RowStage(Shared& shared, const ConstRows& x, int rows)
      : rows_(rows),
        cols_(static_cast<int>(x.cols)),
        staged_(shared.take<float>(rows * cols_)),
        inverses_(shared.take<float>(rows)) {}

  // Begins to copy them, a group of copies.
  SHOAL_DEVICE void copy(const ConstRows& x) const {
    for (int r = 0; r < rows_; ++r) {
      for (int i = thread() * 4; i < cols_; i += threads() * 4) {
        copy_async(staged_ + r * cols_ + i, x.data + r * x.stride + i, true);
      }
    }
    commit_copies();
  }

  // The rows, normed, for all threads; kUnderWay: groups of copies that began after theirs.
  template <int kUnderWay>
  SHOAL_DEVICE ConstRows normed_rows(const StageNorm& norm) const {
    wait_copies<kUnderWay>();
    barrier();
    if (norm.weight != nullptr) {
      for (int r = warp(); r < rows_; r += threads() / 32) {
        const float inverse = inverse_rms(staged_ + r * cols_, cols_, norm.eps);
        if (lane() == 0) inverses_[r] = inverse;
      }
      barrier();
      for (int i = thread(); i < cols_; i += threads()) {
        const float weight = widened(norm.weight, norm.dtype, i);
        for (int r = 0; r < rows_; ++r) {
          float& value = staged_[r * cols_ + i];
          value = normed(value, inverses_[r], weight);
        }
      }
      barrier();
    }
    return {staged_, rows_, cols_, cols_};
  }

 private:
  const int rows_, cols_;
  float* const staged_;    // [rows, cols]
  float* const inverses_;  // [rows]
};

}  // namespace shoal::kernels::cuda
