// SPDX-License-Identifier: Apache-2.0
// Views of row-major data that operators work on; they own nothing. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::kernels {

enum class DType : std::uint8_t { kF32, kBF16, kF16 };

constexpr std::size_t dtype_bytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }
constexpr const char* dtype_name(DType dtype) {
  return dtype == DType::kF32 ? "f32" : dtype == DType::kBF16 ? "bf16" : "f16";
}

enum class Device : std::uint8_t { kCpu, kCuda };

// Activations: f32 [rows, cols], consecutive rows `stride` values apart.
struct MatrixView {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  float* row(std::int64_t r) const { return data + r * stride; }
};
struct ConstMatrixView {
  const float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  ConstMatrixView() = default;
  ConstMatrixView(const float* data, std::int64_t rows, std::int64_t cols, std::int64_t stride)
      : data(data), rows(rows), cols(cols), stride(stride) {}
  ConstMatrixView(const MatrixView& other)  // NOLINT: a view of constants is what a view is
      : data(other.data), rows(other.rows), cols(other.cols), stride(other.stride) {}
  const float* row(std::int64_t r) const { return data + r * stride; }
};

// Stored weights [rows, cols] (a vector has one row), row-major, contiguous, in any of our types.
struct WeightView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;

  bool present() const { return data != nullptr; }
  std::size_t bytes() const { return static_cast<std::size_t>(rows * cols) * dtype_bytes(dtype); }
};

}  // namespace shoal::kernels
