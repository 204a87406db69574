// SPDX-License-Identifier: Apache-2.0
// Puts weights into the order of kernels/mma.h when they come, and rows of x beside them: rounded
// to bf16 or f16, in the order in which lanes have them as B. A thread for each piece of 16 bytes.
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
  uint4* to;      // [tiles of rows, runs, 2, 32]; rows past the last are +0
  float* scales;  // f16: 2^-s of each row
};

// A piece of a row: inputs k to k + 3 and those of the next step.
struct EightInputs {
  float4 first, second;
};
SHOAL_DEVICE EightInputs inputs_of_piece(const RoundRows& a, std::int64_t row, int piece) {
  if (row >= a.x.rows) return {{0.0f, 0.0f, 0.0f, 0.0f}, {0.0f, 0.0f, 0.0f, 0.0f}};
  const float* const from = a.x.data + row * a.x.stride;
  const int cols = static_cast<int>(a.x.cols);
  const int k = piece / 32 * 2 * kStepInputs + lane() % 4 * 4;
  return {four_inputs(from, cols, k, a.aligned),
          four_inputs(from, cols, k + kStepInputs, a.aligned)};
}

// CTAs: kMmaPackThreads pieces of each tile of rows, and tiles.
SHOAL_KERNEL void round_rows_kernel(RoundRows a) {
  const int piece = block_x() * kMmaPackThreads + thread();
  if (piece >= a.runs * kRunRowPieces) return;
  const int tile = block_y();
  const std::int64_t row = static_cast<std::int64_t>(tile) * kMmaRows + lane() / 4;
  const auto [first, second] = inputs_of_piece(a, row, piece);
  a.to[static_cast<std::int64_t>(tile) * a.runs * kRunRowPieces + piece] = {
      bf16_pair(first.x, first.y), bf16_pair(first.z, first.w), bf16_pair(second.x, second.y),
      bf16_pair(second.z, second.w)};
}

SHOAL_DEVICE float power_of_two(int exponent) {
  return float_of(static_cast<std::uint32_t>(exponent + 127) << 23);
}
SHOAL_DEVICE std::uint32_t f16_pair(float low, float high, float scale) {
  return static_cast<std::uint32_t>(to_f16(mul(high, scale))) << 16 | to_f16(mul(low, scale));
}

// A CTA for each tile of rows: first their scales.
SHOAL_KERNEL void scale_rows_kernel(RoundRows a) {
  constexpr int kWarps = kMmaPackThreads / 32;
  Shared shared;
  auto* const largest = shared.take<std::int32_t>(kMmaRows * kWarps);
  const std::int64_t begin = static_cast<std::int64_t>(block_x()) * kMmaRows;
  for (int r = 0; r < kMmaRows; ++r) {
    std::int32_t mine = 0;  // of magnitudes as bits, which are in the order of their values
    if (begin + r < a.x.rows) {
      const float* const from = a.x.data + (begin + r) * a.x.stride;
      for (int k = thread(); k < static_cast<int>(a.x.cols); k += kMmaPackThreads) {
        const auto bits = static_cast<std::int32_t>(bits_of(from[k]) & 0x7fffffffu);
        mine = bits > mine ? bits : mine;
      }
    }
    SHOAL_DEVICE_UNROLL
    for (int mask = 16; mask >= 1; mask /= 2) {
      const std::int32_t other = shuffle_xor(mine, mask);
      mine = other > mine ? other : mine;
    }
    if (lane() == 0) largest[r * kWarps + warp()] = mine;
  }
  barrier();
  const int own = lane() / 4;
  std::int32_t most = 0;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kWarps; ++i) {
    const std::int32_t other = largest[own * kWarps + i];
    most = other > most ? other : most;
  }
  const int field = most >> 23;
  const int up = kMmaScaleExponent - (field > kMmaLeastExponent ? field : kMmaLeastExponent);
  const std::int64_t row = begin + own;
  if (warp() == 0 && lane() % 4 == 0 && row < a.x.rows) a.scales[row] = power_of_two(-up);
  const float scale = power_of_two(up);
  uint4* const to = a.to + static_cast<std::int64_t>(block_x()) * a.runs * kRunRowPieces;
  for (int piece = thread(); piece < a.runs * kRunRowPieces; piece += kMmaPackThreads) {
    const auto [first, second] = inputs_of_piece(a, row, piece);
    to[piece] = {f16_pair(first.x, first.y, scale), f16_pair(first.z, first.w, scale),
                 f16_pair(second.x, second.y, scale), f16_pair(second.z, second.w, scale)};
  }
}

}  // namespace shoal::kernels::cuda
