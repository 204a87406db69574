// SPDX-License-Identifier: Apache-2.0
// What all products with stored weights share: values of each type as f32, the fold of many sums,
// where results go.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/f32.cuh"
#include "kernels/cuda/stored_layout.h"

namespace shoal::kernels::cuda {

inline constexpr int kLanes = static_cast<int>(kChains);  // half a warp
inline constexpr int kRunInputs = static_cast<int>(kRun);
inline constexpr int kPartSteps = 4;  // of a chain in half a run

SHOAL_DEVICE int runs_of(std::int64_t cols) {
  return (static_cast<int>(cols) + kRunInputs - 1) / kRunInputs;
}

// Of each type: kPieces of 16 bytes that a lane has of a run; widen() gives the values of half a
// run, whose piece is piece_of(half).
struct StoredF32 {
  static constexpr int kPieces = 2;
  SHOAL_DEVICE static void widen(const uint4& piece, int, float (&to)[kPartSteps]) {
    to[0] = float_of(piece.x);
    to[1] = float_of(piece.y);
    to[2] = float_of(piece.z);
    to[3] = float_of(piece.w);
  }
};
struct StoredBf16 {
  static constexpr int kPieces = 1;
  SHOAL_DEVICE static void widen(const uint4& piece, int half, float (&to)[kPartSteps]) {
    const std::uint32_t first = half == 0 ? piece.x : piece.z;
    const std::uint32_t second = half == 0 ? piece.y : piece.w;
    to[0] = float_of(first << 16);
    to[1] = float_of(first & 0xffff0000u);
    to[2] = float_of(second << 16);
    to[3] = float_of(second & 0xffff0000u);
  }
};
struct StoredF16 {
  static constexpr int kPieces = 1;
  SHOAL_DEVICE static void widen(const uint4& piece, int half, float (&to)[kPartSteps]) {
    const std::uint32_t first = half == 0 ? piece.x : piece.z;
    const std::uint32_t second = half == 0 ? piece.y : piece.w;
    to[0] = from_f16(static_cast<std::uint16_t>(first));
    to[1] = from_f16(static_cast<std::uint16_t>(first >> 16));
    to[2] = from_f16(static_cast<std::uint16_t>(second));
    to[3] = from_f16(static_cast<std::uint16_t>(second >> 16));
  }
};
template <class Stored>
SHOAL_DEVICE constexpr int piece_of(int half) {
  return half * (Stored::kPieces - 1);
}

// The fold of kCount values (a power of two), whose partial sums lie one in each lane of half a
// warp: by 8, 4, 2, 1. At each step two lanes share the values between them, so 128 values take
// 120 shuffles, not 512. Then lane i of 16 has kEach values from i / kSame * kEach on; kSame lanes
// have the same.
template <int kCount>
struct Folded {
  static constexpr int kEach = kCount > kLanes ? kCount / kLanes : 1;
  static constexpr int kSame = kCount < kLanes ? kLanes / kCount : 1;
};
template <int kCount, int kMask = 8, int kSize>
SHOAL_DEVICE void fold_and_share(float (&values)[kSize]) {
  if constexpr (kCount > 1) {
    const bool upper = (lane() & kMask) != 0;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kCount / 2; ++i) {
      const float mine = upper ? values[i + kCount / 2] : values[i];
      const float other = upper ? values[i] : values[i + kCount / 2];
      values[i] = add(mine, shuffle_xor(other, kMask));
    }
  } else {
    values[0] = add(values[0], shuffle_xor(values[0], kMask));
  }
  if constexpr (kMask > 1) fold_and_share<(kCount > 1 ? kCount / 2 : 1), kMask / 2>(values);
}

SHOAL_DEVICE float with_bias(const Weight& weight, std::int64_t output, float value) {
  if (weight.bias == nullptr) return value;
  return add(value, widened(weight.bias, weight.bias_dtype, output));
}
SHOAL_DEVICE void put(const Product& product, bool accumulate, std::int64_t row,
                      std::int64_t output, float sum) {
  const float value = with_bias(product.weight, output, sum);
  float* const to = product.out.data + row * product.out.stride + output;
  *to = accumulate ? add(*to, value) : value;
}
SHOAL_DEVICE void put_gated(const GateUp& a, std::int64_t row, std::int64_t output, float gate,
                            float up) {
  a.out.data[row * a.out.stride + output] =
      silu_mul(with_bias(a.gate, output, gate), with_bias(a.up, output, up));
}

// Outputs of all products of a Multiply side by side, in groups of kGroup, of which the last of
// each product may not be full.
struct OutputGroup {
  int product;
  std::int64_t first;  // output of it
};
template <int kGroup>
SHOAL_DEVICE OutputGroup output_group(const Multiply& a, int index) {
  OutputGroup at{0, index};
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i + 1 < kMaxProducts; ++i) {
    const std::int64_t groups = (a.products[i].weight.rows + kGroup - 1) / kGroup;
    if (at.product == i && i + 1 < a.count && at.first >= groups) {
      at = {i + 1, at.first - groups};
    }
  }
  at.first *= kGroup;
  return at;
}
// Not by an index: arguments have none without a copy.
SHOAL_DEVICE Product product_at(const Multiply& a, int index) {
  Product product = a.products[0];
  SHOAL_DEVICE_UNROLL
  for (int i = 1; i < kMaxProducts; ++i) {
    if (i == index) product = a.products[i];
  }
  return product;
}

}  // namespace shoal::kernels::cuda
