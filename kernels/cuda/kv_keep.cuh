// SPDX-License-Identifier: Apache-2.0
// Writes vectors of keys and values into pages: the law of kernels/kv_dtype.h, operation by
// operation as kernels/kv_kernel.h.
#pragma once

#include "kernels/cuda/kv.cuh"

namespace shoal::kernels::cuda {

// A warp keeps x [head_dim] as vector `at` of an i8 tile. Neither the largest magnitude nor whether
// all values are finite depends on an order.
SHOAL_DEVICE void keep_i8(const float* x, int head_dim, char* tile, int at) {
  float most = 0.0f, finite = 0.0f;
  for (int d = lane(); d < head_dim; d += 32) {
    most = larger(most, magnitude(x[d]));
    finite = fma(x[d], 0.0f, finite);
  }
  SHOAL_DEVICE_UNROLL
  for (int mask = 16; mask >= 1; mask /= 2) {
    most = larger(most, shuffle_xor(most, mask));
    finite = add(finite, shuffle_xor(finite, mask));
  }
  const Int8Scale by = int8_scale(most, finite);
  auto* const to = reinterpret_cast<std::int8_t*>(tile + at * head_dim);
  for (int d = lane(); d < head_dim; d += 32) {
    to[d] = static_cast<std::int8_t>(round_in(mul(x[d], by.inverse), -127.0f, 127.0f));
  }
  if (lane() == 0) reinterpret_cast<float*>(tile + kPage * head_dim)[at] = by.scale;
}

// A warp keeps x [head_dim] as vector `at` of a tile.
SHOAL_DEVICE void keep_vector(KvDType dtype, const float* x, int head_dim, char* tile, int at) {
  if (dtype == KvDType::kI8) return keep_i8(x, head_dim, tile, at);
  for (int d = lane(); d < head_dim; d += 32) {
    const int i = at * head_dim + d;
    if (dtype == KvDType::kF32) {
      reinterpret_cast<float*>(tile)[i] = x[d];
    } else {
      reinterpret_cast<std::uint16_t*>(tile)[i] =
          dtype == KvDType::kBF16 ? to_bf16(x[d]) : to_f16(x[d]);
    }
  }
}

}  // namespace shoal::kernels::cuda
