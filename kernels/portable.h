// SPDX-License-Identifier: Apache-2.0
// The portable formats q8, q4 and q4s, and the law of their products (compute kind `i8`): the same
// bits on every processor, because sums of int8 products are exact in any order and the few float
// operations around them have one order, which knows no lanes, tiles, threads or rows.
//
// Weights: each output's inputs in groups of 32 along k; the last group is filled with zeros.
//   q8    w = q s, q in [-127, 127]; s: f16                        8.5 bits a weight
//   q4    w = u s + m, u in [0, 15]; s, m: f16                     5.0 bits
//   q4s   w = q s, q in [-8, 7]; s: f16                            4.5 bits
// Activations, each row and group: s = max|x| / 127; below 2^-126 it is taken as 0; inv = 1 / s, or
//   0 where s is 0; q = x inv, rounded to the nearest integer (half to even), held in [-127, 127].
//   Where a value is not finite, s is NaN.
// Product of a row and an output: for each segment of 512 inputs, in ascending order:
//     acc = +0; for its groups in ascending order:
//       i = sum of q_w q_x (with u for q_w in q4), exact
//       acc = fma(float(i), s_w * s_x, acc)
//       q4: acc = fma(float(sum of q_x), m * s_x, acc)
//   value = acc of the first segment; value = value + acc for each after it
//   value = value + bias; out = value, or out + value
// All operations f32, rounded to nearest even; fma is rounded once.
//
// Packed on the CPU: tiles of 16 outputs; in a tile its groups; of a group the 16 scales (f16), for
// q4 the 16 minima (f16), then the values: for each run of 4 inputs 4 bytes of each output. q8
// keeps q + 128; q4 and q4s keep u, or q + 8, the even runs in the low halves of the bytes and the
// odd runs in the high ones. Outputs past the last have scale 0.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/tensor.h"

namespace shoal::kernels {

inline constexpr std::int64_t kGroup = 32;
inline constexpr std::int64_t kSegmentGroups = 16;
inline constexpr std::int64_t kTileOutputs = 16;

constexpr std::int64_t groups_of(std::int64_t k) { return (k + kGroup - 1) / kGroup; }

// Of 16 outputs.
constexpr std::int64_t packed_group_bytes(WeightFormat format) {
  return format == WeightFormat::kQ8 ? 32 + 512 : format == WeightFormat::kQ4 ? 64 + 256 : 32 + 256;
}
constexpr std::size_t packed_bytes(WeightFormat format, std::int64_t rows, std::int64_t cols) {
  const std::int64_t tiles = (rows + kTileOutputs - 1) / kTileOutputs;
  return static_cast<std::size_t>(tiles * groups_of(cols) * packed_group_bytes(format));
}

// One group of a row of activations, quantized.
struct QuantizedGroup {
  float scale;
  float sum;  // of the values, exact
  std::int8_t values[kGroup];
};
// Rows of activations, quantized: [rows, groups], a row `stride` bytes behind the one before it.
struct QuantizedRows {
  QuantizedGroup* data = nullptr;
  std::int64_t groups = 0;
  std::int64_t stride = 0;
};
// Whole lines of the caches, and an odd number of them: rows that are read side by side lie in
// different sets then.
constexpr std::int64_t quantized_row_bytes(std::int64_t k) {
  constexpr std::int64_t kLine = 64;
  const auto bytes = groups_of(k) * static_cast<std::int64_t>(sizeof(QuantizedGroup));
  return ((bytes + kLine - 1) / kLine | 1) * kLine;
}

}  // namespace shoal::kernels
