// SPDX-License-Identifier: Apache-2.0
// Activations in int8 by the law of kernels/portable.h, in the order in which mma_s8 takes them as
// B: 8 rows are its columns. Within a group of 32 inputs any order of k is right as long as weights
// have it too, so a lane gets the two runs of 4 inputs that it finds in packed weights
// (portable_weights.cuh): runs t and t + 4 in q8, runs 2 t and 2 t + 1 else; t = lane % 4.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/f32.cuh"
#include "kernels/cuda/norm.cuh"
#include "kernels/portable.h"

namespace shoal::kernels::cuda {

// Rows of an mma's n.
inline constexpr int kTileRows = 8;
// Products begin at it, so that their int32 is also the float kMagic + i: no conversion. Groups
// give less than 2^20, far below the 2^22 that have room.
inline constexpr float kMagic = 12582912.0f;
inline constexpr std::uint32_t kMagicBits = 0x4b400000;

// A group of some rows.
template <int kRows>
struct QuantizedGroups {
  uint2 values[kRows][4];  // of each row what lane t of its four has as B
  float scales[kRows];
  // q4: the sum of the values. q4s: kMagic + 8 times it, which is where products with u = q + 8
  // would be if those with q were 0.
  float sums[kRows];
};
using QuantizedTile = QuantizedGroups<kTileRows>;
static_assert(sizeof(QuantizedTile) == 320);

// Of a group what lane t quantizes.
struct LaneInputs {
  float at[8];
};

// Inputs [k, k + 4) of a row; zeros past the last. `aligned`: where k % 4 == 0, four lie together.
SHOAL_DEVICE void load_four(const float* row, int cols, int k, bool aligned, float* to) {
  if (aligned && k + 4 <= cols) {
    const float4 four = *reinterpret_cast<const float4*>(row + k);
    to[0] = four.x;
    to[1] = four.y;
    to[2] = four.z;
    to[3] = four.w;
    return;
  }
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 4; ++i) to[i] = k + i < cols ? row[k + i] : 0.0f;
}

template <WeightFormat kFormat>
SHOAL_DEVICE LaneInputs load_inputs(const float* row, int cols, int group, int t, bool aligned) {
  constexpr bool kQ8 = kFormat == WeightFormat::kQ8;
  const int k = group * static_cast<int>(kGroup);
  LaneInputs x;
  load_four(row, cols, k + (kQ8 ? 4 * t : 8 * t), aligned, x.at);
  load_four(row, cols, k + (kQ8 ? 16 + 4 * t : 8 * t + 4), aligned, x.at + 4);
  return x;
}

// The low bytes of four words.
SHOAL_DEVICE std::uint32_t low_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                                     std::uint32_t d) {
  return (a & 0xffu) | (b & 0xffu) << 8 | (c & 0xffu) << 16 | d << 24;
}

// Four lanes side by side have a group of a row; all lanes of the warp come here. The largest
// magnitude is that of bits: a value that is not finite has larger ones than all others. No value
// needs to be held in [-127, 127]: x / s is not beyond it before it is rounded by more than the
// rounding takes away, and where x is not finite, the scale makes every product NaN.
template <WeightFormat kFormat, int kRows>
SHOAL_DEVICE void quantize_inputs(const LaneInputs& x, QuantizedGroups<kRows>& to, int row, int t,
                                  bool write) {
  std::int32_t largest = 0;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 8; ++i) {
    const auto size = static_cast<std::int32_t>(bits_of(x.at[i]) & 0x7fffffffu);
    largest = size > largest ? size : largest;
  }
  SHOAL_DEVICE_UNROLL
  for (int mask = 1; mask <= 2; mask *= 2) {
    const std::int32_t other = shuffle_xor(largest, mask);
    largest = other > largest ? other : largest;
  }
  const bool finite = largest < 0x7f800000;
  const Int8Scale by =
      int8_scale(float_of(static_cast<std::uint32_t>(largest)), finite ? 0.0f : not_a_number());
  std::uint32_t q[8];  // kMagicBits + q
  std::uint32_t sum = 0;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 8; ++i) {
    q[i] = bits_of(add(mul(x.at[i], by.inverse), kMagic));
    sum += q[i] - kMagicBits;
  }
  if constexpr (kFormat != WeightFormat::kQ8) {
    SHOAL_DEVICE_UNROLL
    for (int mask = 1; mask <= 2; mask *= 2) {
      sum += static_cast<std::uint32_t>(shuffle_xor(static_cast<std::int32_t>(sum), mask));
    }
  }
  if (!write) return;
  to.values[row][t] = {low_bytes(q[0], q[1], q[2], q[3]), low_bytes(q[4], q[5], q[6], q[7])};
  if (t != 0) return;
  to.scales[row] = by.scale;
  if constexpr (kFormat == WeightFormat::kQ4) {
    to.sums[row] = sub(float_of(kMagicBits + sum), kMagic);
  } else if constexpr (kFormat == WeightFormat::kQ4S) {
    to.sums[row] = float_of(kMagicBits + 8 * sum);
  }
}

struct Quantize {
  ConstRows x;
  bool aligned;
  int groups;
  QuantizedTile* to;  // [tiles of rows, groups]; rows past the last are zeros
};

inline constexpr int kQuantizeWarps = 4;

// A warp for each group of 8 rows.
template <WeightFormat kFormat>
SHOAL_KERNEL void quantize_kernel(Quantize a) {
  const int group = block_x() * kQuantizeWarps + warp();
  if (group >= a.groups) return;
  const int tile = block_y(), in_tile = lane() / 4, t = lane() % 4;
  const std::int64_t row = static_cast<std::int64_t>(tile) * kTileRows + in_tile;
  LaneInputs x{};
  if (row < a.x.rows) {
    x = load_inputs<kFormat>(a.x.data + row * a.x.stride, static_cast<int>(a.x.cols), group, t,
                             a.aligned);
  }
  quantize_inputs<kFormat>(x, a.to[static_cast<std::int64_t>(tile) * a.groups + group], in_tile, t,
                           true);
}

struct NormQuantize {
  ConstRows x;
  const void* weight;  // of the norm
  DType dtype;
  float eps;
  int groups;
  QuantizedTile* to;  // as above
};

// A CTA for each row, and for each that fills the last tile up. Four lanes have a group.
template <WeightFormat kFormat>
SHOAL_KERNEL void SHOAL_BOUNDS(kNormThreads, 4) norm_quantize_kernel(NormQuantize a) {
  const int cols = static_cast<int>(a.x.cols), t = lane() % 4;
  const int tile = block_x() / kTileRows, in_tile = block_x() % kTileRows;
  const bool is_row = block_x() < a.x.rows;
  float* row = nullptr;
  if (is_row) {
    Shared shared;
    const LoadedRow loaded = load_row(shared, a.x.data + block_x() * a.x.stride, cols, a.eps);
    row = loaded.x;
    const float inverse = *loaded.inverse;
    for (int i = thread(); i < cols; i += threads()) {
      row[i] = normed(row[i], inverse, widened(a.weight, a.dtype, i));
    }
    barrier();
  }
  for (int first = warp() * 8; first < a.groups; first += threads() / 32 * 8) {
    const int group = first + lane() / 4;
    const bool is_group = group < a.groups;
    LaneInputs x{};
    if (is_row && is_group) x = load_inputs<kFormat>(row, cols, group, t, true);
    quantize_inputs<kFormat>(
        x, a.to[static_cast<std::int64_t>(tile) * a.groups + (is_group ? group : 0)], in_tile, t,
        is_group);
  }
}

}  // namespace shoal::kernels::cuda
