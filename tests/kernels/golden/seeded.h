// SPDX-License-Identifier: Apache-2.0
// Values that follow from a seed and their place alone, quick to make in hundreds of millions, the
// same on every machine; and where a device has them. Owns its memory; one caller at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels::golden {

// SplitMix64 of a place in a stream.
inline std::uint64_t seeded_bits(std::uint64_t seed, std::uint64_t place) {
  std::uint64_t z = (seed << 40) + (place + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// Evenly over [-2 scale, 2 scale), from place `first` on; all bits of an f32 are in use.
inline std::vector<float> seeded_rows(std::uint64_t seed, std::int64_t count, float scale = 1.0f,
                                      std::int64_t first = 0) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto draw =
        static_cast<std::int32_t>(seeded_bits(seed, static_cast<std::uint64_t>(first) + i) >> 32);
    values[i] = static_cast<float>(draw) * 0x1p-30f * scale;
  }
  return values;
}

// As a file stores them: any sign and mantissa, exponents of 14 binades up to that of 1; of f16
// down to the subnormal ones.
inline std::vector<char> seeded_weights(std::uint64_t seed, DType dtype, std::int64_t count) {
  std::vector<char> bytes(static_cast<std::size_t>(count) * dtype_bytes(dtype));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t draw = seeded_bits(seed, static_cast<std::uint64_t>(i));
    const auto below = static_cast<std::uint32_t>((draw >> 40) * 14 >> 24);  // 0 to 13
    if (dtype == DType::kF32) {
      const std::uint32_t bits = static_cast<std::uint32_t>(draw & 0x807fffffu) | (114 + below)
                                                                                      << 23;
      std::memcpy(bytes.data() + 4 * i, &bits, 4);
      continue;
    }
    const bool brain = dtype == DType::kBF16;
    const std::uint32_t mantissa = static_cast<std::uint32_t>(draw) & (brain ? 0x807fu : 0x83ffu);
    const auto bits =
        static_cast<std::uint16_t>(mantissa | (brain ? (114 + below) << 7 : below << 10));
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
  return bytes;
}

// In the order of the values, every bit counts.
inline std::uint64_t hash_of(const std::vector<float>& values) {
  std::uint64_t hash = 0x5368'6f61'6c00'0001u;
  for (const float value : values) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, 4);
    hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
  }
  return hash;
}

class DeviceValues {
 public:
  DeviceValues() = default;
  DeviceValues(Executor& executor, const void* values, std::size_t bytes) {
    std::optional<Buffer> memory = executor.allocate(std::max<std::size_t>(bytes, 1));
    CHECK(memory.has_value()) << "no memory for " << bytes << " bytes";
    memory_ = *std::move(memory);
    executor.upload(memory_.data(), values, bytes);
  }
  void* data() const { return memory_.data(); }

 private:
  Buffer memory_;
};

// Rows of f32, poisoned where they are not given, and room for those that a device adds.
class DeviceRows {
 public:
  DeviceRows(Executor& executor, std::int64_t rows, std::int64_t cols, std::int64_t padded = 0)
      : DeviceRows(executor, std::vector<float>(static_cast<std::size_t>(rows * cols), kPoison),
                   rows, cols, padded) {}
  DeviceRows(Executor& executor, std::vector<float> values, std::int64_t rows, std::int64_t cols,
             std::int64_t padded = 0)
      : executor_(&executor), rows_(rows), padded_(std::max(rows, padded)), cols_(cols) {
    values.resize(static_cast<std::size_t>(padded_ * cols), kPoison);
    memory_ = DeviceValues(executor, values.data(), values.size() * sizeof(float));
    executor.synchronize();
  }
  MatrixView view() const { return view(0, padded_); }
  MatrixView view(std::int64_t first, std::int64_t rows) const {
    return {static_cast<float*>(memory_.data()) + first * cols_,
            rows,
            cols_,
            cols_,
            DType::kF32,
            executor_->device()};
  }
  // The rows that were asked for.
  std::vector<float> fetch() const {
    std::vector<float> values(static_cast<std::size_t>(rows_ * cols_));
    executor_->download(values.data(), memory_.data(), values.size() * sizeof(float));
    executor_->synchronize();
    return values;
  }

 private:
  static constexpr float kPoison = -7.0625e+30f;

  Executor* executor_;
  std::int64_t rows_, padded_, cols_;
  DeviceValues memory_;
};

}  // namespace shoal::kernels::golden
