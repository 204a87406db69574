// SPDX-License-Identifier: Apache-2.0
// The norm of a row by a warp: the operations of kernels/row_kernel.h in its order.
#pragma once

#include <cstddef>

#include "kernels/cuda/f32.cuh"

namespace shoal::kernels::cuda {

// 1 / sqrt(mean of the squares + eps) of x [cols]; all lanes get it. Lane and lane + 16 have the
// same of 16 partial sums.
SHOAL_DEVICE float inverse_rms(const float* x, int cols, float eps) {
  const int chain = lane() & 15;
  float squares = 0.0f;
  int i = 0;
  // Loaded before they are used: shared memory takes longer than an fma.
  constexpr int kAhead = 16;
  for (; i + 16 * kAhead <= cols; i += 16 * kAhead) {
    float v[kAhead];
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < kAhead; ++j) v[j] = x[i + 16 * j + chain];
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < kAhead; ++j) squares = fma(v[j], v[j], squares);
  }
  for (; i < cols; i += 16) {
    // Past the end a zero is added, as on the CPU.
    const float v = i + chain < cols ? x[i + chain] : 0.0f;
    squares = fma(v, v, squares);
  }
  const float mean = div(fold_16(squares), static_cast<float>(cols));
  return div(1.0f, sqrt(add(mean, eps)));
}

inline constexpr int kNormThreads = 256;

// A row by a CTA: in shared memory as it was, with what its values are multiplied by.
struct LoadedRow {
  float* x;
  const float* inverse;
};
constexpr std::size_t norm_shared_bytes(std::int64_t cols) {
  return (static_cast<std::size_t>(cols) * sizeof(float) + 15) / 16 * 16 + 16;
}
SHOAL_DEVICE LoadedRow load_row(Shared& shared, const float* x, int cols, float eps) {
  float* const row = shared.take<float>(cols);
  float* const inverse = shared.take<float>(1);
  for (int i = thread(); i < cols; i += threads()) row[i] = x[i];
  barrier();
  if (warp() == 0) {
    const float found = inverse_rms(row, cols, eps);
    if (lane() == 0) *inverse = found;
  }
  barrier();
  return {row, inverse};
}

SHOAL_DEVICE float normed(float x, float inverse, float weight) {
  return mul(mul(x, inverse), weight);
}

}  // namespace shoal::kernels::cuda
