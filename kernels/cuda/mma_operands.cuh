// SPDX-License-Identifier: Apache-2.0
// What the kernels for float tensor cores share: operands of mma_bf16 and mma_f16 in the order of
// kernels/mma.h, rows of x rounded and packed, where a CTA's products lie.
//
// Weights are A: its 16 rows are outputs. Rows of x are B: its 8 columns. A lane (g = lane / 4, t =
// lane % 4) has of a step inputs 4 t to 4 t + 3 of both: which of the 16 they are to the hardware
// is the same for both, so it does not matter.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/f32.cuh"
#include "kernels/mma.h"

namespace shoal::kernels::cuda {

inline constexpr int kMmaRows = 8;  // of a tile of x
inline constexpr int kTileOuts = static_cast<int>(kMmaOutputs);
inline constexpr int kStepInputs = static_cast<int>(kMmaStep);
inline constexpr int kSegmentSteps = static_cast<int>(kMmaSegment / kMmaStep);
inline constexpr int kMmaRunSteps = static_cast<int>(kMmaRun / kMmaStep);
// Of a run, in pieces of 16 bytes. A piece of x has two steps.
inline constexpr int kRunWeightPieces = kMmaRunSteps * 32;
inline constexpr int kRunRowPieces = kMmaRunSteps / 2 * 32;

SHOAL_DEVICE int runs_of_inputs(std::int64_t cols) {
  return (static_cast<int>(cols) + static_cast<int>(kMmaRun) - 1) / static_cast<int>(kMmaRun);
}

SHOAL_DEVICE std::uint32_t bf16_pair(float low, float high) {
  return static_cast<std::uint32_t>(to_bf16(high)) << 16 | to_bf16(low);
}

// acc: (output g, row 2 t), (g, 2 t + 1), (g + 8, 2 t), (g + 8, 2 t + 1).
template <bool kF16>
SHOAL_DEVICE void add_step(const uint4& weights, std::uint32_t first, std::uint32_t second,
                           float (&acc)[4]) {
  const std::uint32_t a[4] = {weights.x, weights.y, weights.z, weights.w};
  const std::uint32_t b[2] = {first, second};
  if constexpr (kF16) {
    mma_f16(acc, a, b);
  } else {
    mma_bf16(acc, a, b);
  }
}

// Inputs [k, k + 4) of a row; zeros past the last. `aligned`: where k % 4 == 0, four lie together.
SHOAL_DEVICE float4 four_inputs(const float* row, int cols, int k, bool aligned) {
  if (aligned && k + 4 <= cols) return *reinterpret_cast<const float4*>(row + k);
  return {k < cols ? row[k] : 0.0f, k + 1 < cols ? row[k + 1] : 0.0f,
          k + 2 < cols ? row[k + 2] : 0.0f, k + 3 < cols ? row[k + 3] : 0.0f};
}

// Layers of one x, or gate and up; all of one number of inputs.
struct MmaProduct {
  const uint4* weights;
  const void* bias;  // or null
  DType bias_dtype;
  int outputs;
  float* out;
  std::int64_t stride;
  int end;  // of its CTAs in the grid
};
struct MmaProducts {
  ConstRows x;
  bool aligned;         // of x: four_inputs
  const uint4* packed;  // x rounded: [tiles of rows, runs, 2, 32]
  const float* scales;  // f16: of each row 2^-s; else null
  int runs;
  bool accumulate;
  bool gated;  // products are gate and up; out is gate's
  MmaProduct products[kMaxProducts];
};

// The product of a CTA, and the CTA's place in it.
struct MmaShare {
  int product, block;
};
SHOAL_DEVICE MmaShare share_of(const MmaProducts& a, int block) {
  if (block < a.products[0].end) return {0, block};
  if (block < a.products[1].end) return {1, block - a.products[0].end};
  return {2, block - a.products[1].end};
}

// Tile `tile` of a CTA of `tiles`. Of gate and up every second is a gate's.
SHOAL_DEVICE const uint4* tile_of_cta(const MmaProducts& a, const MmaShare& share, int tiles,
                                      int tile) {
  const MmaProduct& product = a.products[a.gated ? tile % 2 : share.product];
  const int at = a.gated ? share.block * (tiles / 2) + tile / 2 : share.block * tiles + tile;
  const int last = (product.outputs - 1) / kTileOuts;
  // Where there is none the last one again: what it gives is nobody's.
  return product.weights +
         static_cast<std::int64_t>(at < last ? at : last) * a.runs * kRunWeightPieces;
}

SHOAL_DEVICE bool is_f16(const MmaProducts& a) { return a.scales != nullptr; }
SHOAL_DEVICE float unscaled(const MmaProducts& a, std::int64_t row, float sum) {
  return is_f16(a) ? mul(sum, a.scales[row]) : sum;
}
SHOAL_DEVICE float with_bias(const MmaProduct& product, int output, float value) {
  if (product.bias == nullptr) return value;
  return add(value, widened(product.bias, product.bias_dtype, output));
}
SHOAL_DEVICE void put(const MmaProducts& a, const MmaProduct& product, std::int64_t row, int output,
                      float sum) {
  if (output >= product.outputs) return;
  float* const out = product.out + row * product.stride + output;
  const float value = with_bias(product, output, unscaled(a, row, sum));
  *out = a.accumulate ? add(*out, value) : value;
}
SHOAL_DEVICE void put_gated(const MmaProducts& a, std::int64_t row, int output, float gate,
                            float up) {
  const MmaProduct& product = a.products[0];
  if (output >= product.outputs) return;
  product.out[row * product.stride + output] =
      silu_mul(with_bias(product, output, unscaled(a, row, gate)),
               with_bias(a.products[1], output, unscaled(a, row, up)));
}

}  // namespace shoal::kernels::cuda
