// SPDX-License-Identifier: Apache-2.0
// Kernels over single rows: norm, rotation, gate, embedding, in the operations of
// kernels/row_kernel.h and its order; and which rows are finite.
#pragma once

#include "kernels/cuda/arguments.h"
#include "kernels/cuda/f32.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kNormThreads = 256;

// A CTA for each row. The first 16 lanes have a partial sum each; the row waits in shared memory
// [cols].
SHOAL_KERNEL void norm_kernel(RmsNorm a) {
  Shared shared;
  const int cols = static_cast<int>(a.x.cols);
  float* const row = shared.take<float>(cols);
  float* const inverse = shared.take<float>(1);
  const float* const x = a.x.data + block_x() * a.x.stride;
  for (int i = thread(); i < cols; i += threads()) row[i] = x[i];
  barrier();
  if (warp() == 0) {
    const int chain = lane() & 15;
    float squares = 0.0f;
    for (int i = 0; i < cols; i += 16) {
      // Past the end a zero is added, as on the CPU.
      const float v = i + chain < cols ? row[i + chain] : 0.0f;
      squares = fma(v, v, squares);
    }
    const float mean = div(fold_16(squares), static_cast<float>(cols));
    if (lane() == 0) *inverse = div(1.0f, sqrt(add(mean, a.eps)));
  }
  barrier();
  float* const out = a.out.data + block_x() * a.out.stride;
  for (int i = thread(); i < cols; i += threads()) {
    out[i] = mul(mul(row[i], *inverse), widened(a.weight, a.weight_dtype, i));
  }
}

inline constexpr int kRopeThreads = 128;

// A CTA for each row.
SHOAL_KERNEL void rope_kernel(Rope a) {
  const int row = block_x();
  if (row >= a.step.header->rows) return;
  const int half = static_cast<int>(a.step.half);
  float* const x = a.x.data + row * a.x.stride;
  const float* const cosines = a.step.cosines + static_cast<std::int64_t>(row) * half;
  const float* const sines = a.step.sines + static_cast<std::int64_t>(row) * half;
  for (int i = thread(); i < static_cast<int>(a.x.cols) / 2; i += threads()) {
    const int at = i / half * 2 * half + i % half;
    const float first = x[at], second = x[at + half];
    const float c = cosines[i % half], s = sines[i % half];
    x[at] = sub(mul(first, c), mul(second, s));
    x[at + half] = add(mul(second, c), mul(first, s));
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
