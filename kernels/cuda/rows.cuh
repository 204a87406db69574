// SPDX-License-Identifier: Apache-2.0
// Kernels over single rows: norm, gate, embedding, in the operations of
// kernels/row_kernel.h and its order; and which rows are finite.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/norm.cuh"

namespace shoal::kernels::cuda {

// A CTA for each row.
SHOAL_KERNEL void norm_kernel(RmsNorm a) {
  Shared shared;
  const int cols = static_cast<int>(a.x.cols);
  const LoadedRow row = load_row(shared, a.x.data + block_x() * a.x.stride, cols, a.eps);
  const float inverse = *row.inverse;
  float* const out = a.out.data + block_x() * a.out.stride;
  for (int i = thread(); i < cols; i += threads()) {
    out[i] = normed(row.x[i], inverse, widened(a.weight, a.weight_dtype, i));
  }
}

inline constexpr int kElementThreads = 256;

SHOAL_KERNEL void silu_mul_kernel(SiluMul a) {
  const int i = block_x() * threads() + thread();
  if (i >= a.out.cols) return;
  const std::int64_t row = block_y();
  a.out.data[row * a.out.stride + i] =
      silu_mul(a.gate.data[row * a.gate.stride + i], a.up.data[row * a.up.stride + i]);
}

SHOAL_KERNEL void embed_kernel(Embed a) {
  const int i = block_x() * threads() + thread();
  if (i >= a.out.cols) return;
  const std::int64_t row = block_y();
  a.out.data[row * a.out.stride + i] = widened(a.table, a.dtype, a.ids[row] * a.out.cols + i);
}

// A warp for each row: once in a step, so that it need not be fast. As base/finite.h.
inline constexpr int kFiniteThreads = 32;

SHOAL_KERNEL void finite_kernel(FiniteRows a) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  const std::int64_t row = block_x();
  const float* const x = a.x.data + row * a.x.stride;
  std::int32_t bad = 0;
  for (int i = lane(); i < static_cast<int>(a.x.cols); i += 32) {
    bad |= (bits_of(x[i]) & kExponent) == kExponent ? 1 : 0;
  }
  SHOAL_DEVICE_UNROLL
  for (int mask = 16; mask >= 1; mask /= 2) bad |= shuffle_xor(bad, mask);
  if (lane() == 0) a.finite[row] = bad == 0 ? 1 : 0;
}

}  // namespace shoal::kernels::cuda
