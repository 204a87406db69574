// SPDX-License-Identifier: Apache-2.0
// Writes and reads the vectors of a tile of keys or values: kv_dtype.h. Templates over a Vec16
// (rule: vec16.h).
#pragma once

#include "kernels/cpu_kernels.h"
#include "kernels/quantize_kernel.h"
#include "kernels/row_kernel.h"

namespace shoal::kernels {

template <class V>
SHOAL_INLINE void keep_i8_vector(const float* x, std::int64_t head_dim, std::int8_t* tile,
                                 std::int64_t at) {
  V most = V::zero(), finite = V::zero();
  for_lanes<V>(head_dim, [&](std::int64_t d, int lanes) SHOAL_LAMBDA {
    const V v = load_lanes<V>(x + d, lanes);
    most = V::max(most, magnitude(v));
    finite = V::fma(v, V::zero(), finite);
  });
  const Int8Scale by = int8_scale<V>(V::max_lane(most), V::sum(finite));
  const V inverse = V::set1(by.inverse);
  std::int8_t* const to = tile + at * head_dim;
  for_lanes<V>(head_dim, [&](std::int64_t d, int lanes) SHOAL_LAMBDA {
    const V q = round_in<V>(V::mul(load_lanes<V>(x + d, lanes), inverse), -127.0f, 127.0f);
    if (lanes == 16) return q.store_integers(to + d);
    std::int8_t all[16];
    q.store_integers(all);
    for (int i = 0; i < lanes; ++i) to[d + i] = all[i];
  });
  reinterpret_cast<float*>(tile + kTilePositions * head_dim)[at] = by.scale;
}

// x [head_dim] becomes vector `at` of a tile.
template <class V>
void keep_kv_vector(const float* x, KvDType dtype, std::int64_t head_dim, void* tile,
                    std::int64_t at) {
  switch (dtype) {
    case KvDType::kF32:
      return convert_row<V>(x, head_dim, static_cast<float*>(tile) + at * head_dim);
    case KvDType::kBF16:
      return convert_row<V>(x, head_dim, static_cast<BF16*>(tile) + at * head_dim);
    case KvDType::kF16:
      return convert_row<V>(x, head_dim, static_cast<F16*>(tile) + at * head_dim);
    case KvDType::kI8:
      return keep_i8_vector<V>(x, head_dim, static_cast<std::int8_t*>(tile), at);
  }
}

template <class V>
SHOAL_INLINE void read_i8_vectors(const void* tile, std::int64_t positions, std::int64_t head_dim,
                                  float* to) {
  const auto* const values = static_cast<const std::int8_t*>(tile);
  const auto* const scales = reinterpret_cast<const float*>(values + kTilePositions * head_dim);
  for (std::int64_t p = 0; p < positions; ++p) {
    const V scale = V::set1(scales[p]);
    for_lanes<V>(head_dim, [&](std::int64_t d, int lanes) SHOAL_LAMBDA {
      const std::int64_t i = p * head_dim + d;
      store_lanes<V>(V::mul(load_lanes<V>(values + i, lanes), scale), to + i, lanes);
    });
  }
}

// The first `positions` vectors of a tile as f32 [positions, head_dim]: where they lie, or in `to`.
template <class V>
SHOAL_INLINE const float* kv_vectors(const void* tile, KvDType dtype, std::int64_t positions,
                                     std::int64_t head_dim, float* to) {
  switch (dtype) {
    case KvDType::kF32:
      return static_cast<const float*>(tile);
    case KvDType::kBF16:
      convert_row<V>(static_cast<const BF16*>(tile), positions * head_dim, to);
      break;
    case KvDType::kF16:
      convert_row<V>(static_cast<const F16*>(tile), positions * head_dim, to);
      break;
    case KvDType::kI8:
      read_i8_vectors<V>(tile, positions, head_dim, to);
      break;
  }
  return to;
}

}  // namespace shoal::kernels
