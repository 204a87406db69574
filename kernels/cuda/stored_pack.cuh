// SPDX-License-Identifier: Apache-2.0
// Puts values into the order of stored_layout.h: weights when they come, and rows of x for products
// with many rows. A thread for each piece of a chain, 16 threads for all chains.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/stored_values.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kPackThreads = 256;
inline constexpr int kPackPieces = kPackThreads / kLanes;  // of each chain

// CTAs: rows, and kPackPieces of each. `Bits` as wide as a value.
template <class Bits>
SHOAL_KERNEL void pack_stored_kernel(PackStored a) {
  constexpr int kSteps = kPieceOfChain / static_cast<int>(sizeof(Bits));
  constexpr int kEach = kLanes * kSteps;
  const int chain = thread() % kLanes;
  const int piece = block_y() * kPackPieces + thread() / kLanes;
  const int padded = runs_of(a.cols) * kRunInputs;
  if (piece * kEach >= padded) return;
  const std::int64_t row = block_x();
  const Bits* const from = static_cast<const Bits*>(a.from) + row * a.cols;
  Bits* const to = static_cast<Bits*>(a.to) + row * padded + piece * kEach + chain * kSteps;
  SHOAL_DEVICE_UNROLL
  for (int step = 0; step < kSteps; ++step) {
    const int k = piece * kEach + step * kLanes + chain;
    to[step] = k < a.cols ? from[k] : Bits{0};
  }
}

struct PackRows {
  ConstRows x;
  float* to;  // [x.rows, padded_inputs(x.cols)], as f32 weights are kept
};

// What stands for x past its end, where weights are +0. Up to the next multiple of 16 it is +0, by
// the law. Beyond, the law has no more steps: -0 times +0 is -0, and a sum to which -0 is added
// stays what it is, even +0 and -0.
SHOAL_DEVICE float past_the_end(int k, int cols) {
  return k / kLanes * kLanes < cols ? 0.0f : -0.0f;
}

SHOAL_KERNEL void pack_rows_kernel(PackRows a) {
  constexpr int kSteps = kPieceOfChain / static_cast<int>(sizeof(float));
  constexpr int kEach = kLanes * kSteps;
  const int chain = thread() % kLanes;
  const int piece = block_y() * kPackPieces + thread() / kLanes;
  const auto cols = static_cast<int>(a.x.cols);
  const int padded = runs_of(cols) * kRunInputs;
  if (piece * kEach >= padded) return;
  const std::int64_t row = block_x();
  const float* const from = a.x.data + row * a.x.stride;
  float values[kSteps];
  SHOAL_DEVICE_UNROLL
  for (int step = 0; step < kSteps; ++step) {
    const int k = piece * kEach + step * kLanes + chain;
    values[step] = k < cols ? from[k] : past_the_end(k, cols);
  }
  auto* const to = reinterpret_cast<float4*>(a.to + row * padded + piece * kEach);
  to[chain] = {values[0], values[1], values[2], values[3]};
}

}  // namespace shoal::kernels::cuda
