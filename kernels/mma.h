// SPDX-License-Identifier: Apache-2.0
// The law of products on float tensor cores (compute kinds `mma8` and `mma9`), and the order in
// which weights are packed for them. All that is rounded has one place here, which knows no tiles,
// threads or rows: so a row has the same bits beside any others, on every device of a kind.
//
// Weights are bf16 or f16, as stored. Activations are f32 and rounded to the same type, nearest,
// half to even; for f16 a row is multiplied by 2^s before, which brings its largest magnitude into
// [2^14, 2^15): s = 141 - max(e, 15), e the field of its exponent, 255 where a value is not finite.
// Inputs from K up to the next multiple of 64 are +0 on both sides. For a row and an output:
//   for each segment of 512 inputs, in ascending order:
//     acc = +0; for each step of 16 inputs, in ascending order:
//       acc = mma(w, x, acc): one output element of mma.sync.m16n8k16
//   value = acc of the first segment; value = value + acc for each after it, f32, nearest even
//   f16: value = value * 2^-s
//   value = value + bias; out = value, or out + value, likewise
// What one mma rounds is the device's: 16 exact products and acc are aligned to the largest
// exponent, cut toward zero after some bits, and summed; mma9 (compute capability 9.0 and later)
// does that once with 25 bits, mma8 (8.x) twice with 24, first for the inputs of a step whose
// number is 0 or 1 modulo 4, then for the other 8 (kernels/cuda/emulator/mma.h has both rules, with
// their source). Infinities and NaN go through; which NaN comes out is not said.
//
// Packed: tiles of 16 outputs; of a tile its runs of 64 inputs; of a run its 4 steps; of a step 16
// bytes for each lane, as it has them in registers: outputs g = lane / 4 and g + 8, of each inputs
// 4 t to 4 t + 3, t = lane % 4, in pairs: (g; 0, 1), (g + 8; 0, 1), (g; 2, 3), (g + 8; 2, 3).
// Outputs past the last are +0.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::kernels {

inline constexpr std::int64_t kMmaOutputs = 16;  // of a tile
inline constexpr std::int64_t kMmaStep = 16;     // inputs
inline constexpr std::int64_t kMmaRun = 64;
inline constexpr std::int64_t kMmaSegment = 512;
// Of the scale of rows for f16.
inline constexpr int kMmaLeastExponent = 15, kMmaScaleExponent = 141;

constexpr std::int64_t mma_runs(std::int64_t cols) { return (cols + kMmaRun - 1) / kMmaRun; }
constexpr std::size_t mma_bytes(std::int64_t rows, std::int64_t cols) {
  const std::int64_t tiles = (rows + kMmaOutputs - 1) / kMmaOutputs;
  return static_cast<std::size_t>(tiles * mma_runs(cols) * kMmaOutputs * kMmaRun) * 2;
}

}  // namespace shoal::kernels
