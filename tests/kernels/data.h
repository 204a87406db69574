// SPDX-License-Identifier: Apache-2.0
// Seeded inputs in their storage type, and outputs between guard bands, both where an executor
// works.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/linear_weight.h"
#include "kernels/step_plan.h"
#include "kernels/tensor.h"
#include "tests/kernels/placed.h"

namespace shoal::kernels {

inline const std::vector<std::int64_t> kSizes = {1, 2, 3, 31, 32, 33, 127, 128, 287, 1000};
inline const std::vector<DType> kDTypes = {DType::kF32, DType::kBF16, DType::kF16};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t bits() { return engine_(); }
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(n));
  }
  float normal() { return distribution_(engine_); }
  std::vector<float> normals(std::int64_t n) {
    std::vector<float> v(static_cast<std::size_t>(n));
    for (float& x : v) x = normal();
    return v;
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<float> distribution_;
};

// Weights of about standard size; the memory is exactly as large as the view says, so that
// sanitizers see overreads.
class Weights {
 public:
  Weights(Random& random, DType dtype, std::int64_t rows, std::int64_t cols)
      : dtype_(dtype), rows_(rows), cols_(cols) {
    std::vector<char>& bytes = bytes_.host();
    bytes.resize(static_cast<std::size_t>(rows * cols) * dtype_bytes(dtype));
    for (std::int64_t i = 0; i < rows * cols; ++i) {
      if (dtype == DType::kF32) {
        const float value = random.normal();
        std::memcpy(bytes.data() + 4 * i, &value, 4);
      } else {
        // Any sign and mantissa; exponents around that of 1, for f16 down to the subnormals.
        const std::uint64_t draw = random.bits();
        const auto sign = static_cast<std::uint16_t>((draw & 1) << 15);
        const auto exponent = static_cast<std::uint16_t>(
            dtype == DType::kBF16 ? (115 + (draw >> 1) % 14) << 7 : ((draw >> 1) % 17) << 10);
        const auto mantissa =
            static_cast<std::uint16_t>((draw >> 32) & (dtype == DType::kBF16 ? 0x7f : 0x3ff));
        const auto bits = static_cast<std::uint16_t>(sign | exponent | mantissa);
        std::memcpy(bytes.data() + 2 * i, &bits, 2);
      }
    }
  }
  WeightView view() const { return {bytes_.host().data(), dtype_, rows_, cols_}; }
  WeightView view(Executor& executor) const {
    return {bytes_.at(executor), dtype_, rows_, cols_, executor.device()};
  }

 private:
  DType dtype_;
  std::int64_t rows_, cols_;
  mutable Placed<char> bytes_;  // nobody writes to them
};

// A layer as an executor keeps what a file stores.
inline PackedLinear as_stored(Executor& executor, const WeightView& weight,
                              const WeightView& bias = {}) {
  return pack_linear(executor, weight, bias, stored_format(weight.dtype)).value();
}

// Rows of f32 to read, in memory that begins and ends with them.
class Input {
 public:
  Input(std::vector<float> content, std::int64_t rows, std::int64_t cols)
      : rows_(rows), cols_(cols), content_(std::move(content)) {}
  ConstMatrixView view(Executor& executor) {
    return {content_.at(executor), rows_, cols_, cols_, DType::kF32, executor.device()};
  }

 private:
  std::int64_t rows_, cols_;
  Placed<float> content_;
};

// Some consecutive rows of a matrix.
inline MatrixView rows_of(const MatrixView& all, std::int64_t first, std::int64_t rows) {
  MatrixView some = all;
  some.data = static_cast<float*>(all.data) + first * all.stride;
  some.rows = rows;
  return some;
}

// A matrix of f32 with poison before it, after it and between its rows.
class Guarded {
 public:
  Guarded(std::int64_t rows, std::int64_t cols, std::int64_t gap = 5)
      : rows_(rows), room_(rows), cols_(cols), stride_(cols + gap) {
    storage_.host().assign(static_cast<std::size_t>(2 * kBand + rows * stride_), kPoison);
  }
  Guarded(const std::vector<float>& content, std::int64_t rows, std::int64_t cols,
          std::int64_t gap = 5)
      : Guarded(rows, cols, gap) {
    for (std::int64_t r = 0; r < rows; ++r) {
      std::memcpy(view().row(r), content.data() + r * cols,
                  static_cast<std::size_t>(cols) * sizeof(float));
    }
  }

  // For the host to read and write.
  F32Rows view() { return {storage_.host().data() + kBand, rows_, cols_, stride_}; }
  MatrixView view(Executor& executor) { return view(executor, rows_); }
  // As the rows of a step, with those that the device adds: their content is nobody's.
  MatrixView view(Executor& executor, const StepPlan& plan) {
    make_room(plan.padded_rows());
    return view(executor, plan.padded_rows());
  }

  std::vector<float> content() {
    std::vector<float> v;
    for (std::int64_t r = 0; r < rows_; ++r) {
      v.insert(v.end(), view().row(r), view().row(r) + cols_);
    }
    return v;
  }
  // True while nothing outside the matrix was written.
  ::testing::AssertionResult intact() const {
    const std::vector<float>& storage = storage_.host();
    for (std::size_t i = 0; i < storage.size(); ++i) {
      const std::int64_t at = static_cast<std::int64_t>(i) - kBand;
      const bool inside = at >= 0 && at < room_ * stride_ && at % stride_ < cols_;
      if (!inside &&
          std::bit_cast<std::uint32_t>(storage[i]) != std::bit_cast<std::uint32_t>(kPoison)) {
        return ::testing::AssertionFailure() << "guard written at " << at << " of [" << rows_
                                             << ", " << cols_ << "] stride " << stride_;
      }
    }
    return ::testing::AssertionSuccess();
  }

 private:
  static constexpr std::int64_t kBand = 64;
  static constexpr float kPoison = -7.0625e+30f;

  MatrixView view(Executor& executor, std::int64_t rows) {
    return {storage_.at(executor) + kBand, rows, cols_, stride_, DType::kF32, executor.device()};
  }
  void make_room(std::int64_t rows) {
    if (rows <= room_) return;
    storage_.host().resize(static_cast<std::size_t>(2 * kBand + rows * stride_), kPoison);
    room_ = rows;
  }

  std::int64_t rows_, room_, cols_, stride_;
  Placed<float> storage_;
};

}  // namespace shoal::kernels
