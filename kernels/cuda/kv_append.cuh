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

inline constexpr int kAppendThreads = 256;

struct AppendRun {
  KvAppend a;
  std::int64_t tile_bytes;
};

// A warp for each vector: row, kv head, key or value.
SHOAL_KERNEL void append_kernel(AppendRun run) {
  const KvAppend& a = run.a;
  const int heads = static_cast<int>(a.kv.kv_heads), head_dim = static_cast<int>(a.kv.head_dim);
  const int vector = block_x() * (threads() / 32) + warp();
  const int row = vector / (2 * heads), head = vector / 2 % heads;
  const bool is_value = vector % 2 != 0;
  if (row >= a.step.header->rows) return;
  const int position = a.step.positions[row];
  const std::int64_t page = a.step.pages[a.step.page_begin[row] + position / kPage];
  char* const tile = a.kv.pages + page * a.kv.stride_bytes +
                     (is_value ? a.kv.value_offset_bytes : a.kv.key_offset_bytes) +
                     head * run.tile_bytes;
  const ConstRows& rows = is_value ? a.values : a.keys;
  const float* const x = rows.data + row * rows.stride + head * head_dim;
  const int at = position % kPage;
  if (a.kv.dtype == KvDType::kI8) return keep_i8(x, head_dim, tile, at);
  for (int d = lane(); d < head_dim; d += 32) {
    const int i = at * head_dim + d;
    if (a.kv.dtype == KvDType::kF32) {
      reinterpret_cast<float*>(tile)[i] = x[d];
    } else {
      reinterpret_cast<std::uint16_t*>(tile)[i] =
          a.kv.dtype == KvDType::kBF16 ? to_bf16(x[d]) : to_f16(x[d]);
    }
  }
}

}  // namespace shoal::kernels::cuda
