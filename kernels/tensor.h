// SPDX-License-Identifier: Apache-2.0
// Views of row-major data that operators work on: where it lies, of which type it is. They own
// nothing. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::kernels {

enum class DType : std::uint8_t { kF32, kBF16, kF16 };

constexpr std::size_t dtype_bytes(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }
constexpr const char* dtype_name(DType dtype) {
  return dtype == DType::kF32 ? "f32" : dtype == DType::kBF16 ? "bf16" : "f16";
}

// How a linear layer's weights are kept: kernels/linear_weight.h. kQ8, kQ4 and kQ4S are portable:
// products by the integer law of portable.h. kMmaBF16 and kMmaF16 are stored
// values for float tensor cores: the law of mma.h.
enum class WeightFormat : std::uint8_t { kF32, kBF16, kF16, kQ8, kQ4, kQ4S, kMmaBF16, kMmaF16 };
constexpr bool is_portable(WeightFormat format) {
  return format >= WeightFormat::kQ8 && format <= WeightFormat::kQ4S;
}
constexpr bool is_mma(WeightFormat format) { return format >= WeightFormat::kMmaBF16; }
constexpr WeightFormat stored_format(DType dtype) {
  return dtype == DType::kF32    ? WeightFormat::kF32
         : dtype == DType::kBF16 ? WeightFormat::kBF16
                                 : WeightFormat::kF16;
}

enum class Device : std::uint8_t { kCpu, kCuda };
constexpr const char* device_name(Device device) { return device == Device::kCpu ? "cpu" : "cuda"; }

// Activations [rows, cols], consecutive rows `stride` values apart. `data` is an address of the
// device, which the host may not follow: operators take these, f32_rows() opens those of the CPU.
struct MatrixView {
  void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
  DType dtype = DType::kF32;
  Device device = Device::kCpu;
};
struct ConstMatrixView {
  const void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
  DType dtype = DType::kF32;
  Device device = Device::kCpu;

  ConstMatrixView() = default;
  ConstMatrixView(const void* data, std::int64_t rows, std::int64_t cols, std::int64_t stride,
                  DType dtype = DType::kF32, Device device = Device::kCpu)
      : data(data), rows(rows), cols(cols), stride(stride), dtype(dtype), device(device) {}
  ConstMatrixView(const MatrixView& other)  // NOLINT: a view of constants is what a view is
      : ConstMatrixView(other.data, other.rows, other.cols, other.stride, other.dtype,
                        other.device) {}
};

// f32 on the CPU: what the host may read.
struct ConstF32Rows {
  const float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  const float* row(std::int64_t r) const { return data + r * stride; }
  operator ConstMatrixView() const { return {data, rows, cols, stride}; }  // NOLINT: it is one
};
struct F32Rows {
  float* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;

  float* row(std::int64_t r) const { return data + r * stride; }
  operator MatrixView() const { return {data, rows, cols, stride}; }       // NOLINT
  operator ConstMatrixView() const { return {data, rows, cols, stride}; }  // NOLINT
};

// Values as a file stores them [rows, cols] (a vector has one row), row-major, contiguous, in any
// of our types.
struct WeightView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  Device device = Device::kCpu;

  bool present() const { return data != nullptr; }
  std::size_t bytes() const { return static_cast<std::size_t>(rows * cols) * dtype_bytes(dtype); }
};

}  // namespace shoal::kernels
