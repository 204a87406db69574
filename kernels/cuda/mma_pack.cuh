// SPDX-License-Identifier: Apache-2.0
// Puts weights into the order of kernels/mma.h when they come, and rows of x beside them: rounded
// to bf16, in the order in which lanes have them as B. A thread for each piece of 16 bytes.
#pragma once

#include "kernels/cuda/mma_operands.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kMmaPackThreads = 256;

// CTAs: tiles of outputs, and kMmaPackThreads pieces of each.
SHOAL_KERNEL void pack_mma_kernel(PackMma a) {
  const int runs = runs_of_inputs(a.cols);
  const int piece = block_y() * kMmaPackThreads + thread();
  if (piece >= runs * kRunWeightPieces) return;
  const int cols = static_cast<int>(a.cols);
  const int k = piece / 32 * kStepInputs + lane() % 4 * 4;
  const std::int64_t output = static_cast<std::int64_t>(block_x()) * kTileOuts + lane() / 4;
  std::uint32_t pairs[2][2];  // of both outputs
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::int64_t own = output + 8 * i;
    SHOAL_DEVICE_UNROLL
    for (int pair = 0; pair < 2; ++pair) {
      const int at = k + 2 * pair;
      const std::uint16_t* const from = a.from + own * a.cols + at;
      const std::uint32_t low = own < a.rows && at < cols ? from[0] : 0;
      const std::uint32_t high = own < a.rows && at + 1 < cols ? from[1] : 0;
      pairs[i][pair] = high << 16 | low;
    }
  }
  static_cast<uint4*>(
      a.to)[static_cast<std::int64_t>(block_x()) * runs * kRunWeightPieces + piece] = {
      pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1]};
}

struct RoundRows {
  ConstRows x;
  bool aligned;
  int runs;
  uint4* to;  // [tiles of rows, runs, 2, 32]; rows past the last are +0
};

// CTAs: kMmaPackThreads pieces of each tile of rows, and tiles.
SHOAL_KERNEL void round_rows_kernel(RoundRows a) {
  const int piece = block_x() * kMmaPackThreads + thread();
  if (piece >= a.runs * kRunRowPieces) return;
  const int tile = block_y();
  const std::int64_t row = static_cast<std::int64_t>(tile) * kMmaRows + lane() / 4;
  uint4 rounded{0, 0, 0, 0};
  if (row < a.x.rows) {
    const float* const from = a.x.data + row * a.x.stride;
    const int cols = static_cast<int>(a.x.cols);
    const int k = piece / 32 * 2 * kStepInputs + lane() % 4 * 4;
    const float4 first = four_inputs(from, cols, k, a.aligned);
    const float4 second = four_inputs(from, cols, k + kStepInputs, a.aligned);
    rounded = {bf16_pair(first.x, first.y), bf16_pair(first.z, first.w),
               bf16_pair(second.x, second.y), bf16_pair(second.z, second.w)};
  }
  a.to[static_cast<std::int64_t>(tile) * a.runs * kRunRowPieces + piece] = rounded;
}

}  // namespace shoal::kernels::cuda
