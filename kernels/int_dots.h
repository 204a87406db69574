// SPDX-License-Identifier: Apache-2.0
// Exact products of int8 activations and packed weights (portable.h), in portable C++. A type like
// this one gives, for R rows at once, the sums of one group for the 16 outputs of a tile. Templates
// over a Vec16 (rule: vec16.h).
#pragma once

#include "kernels/portable.h"
#include "kernels/vec16.h"

namespace shoal::kernels {

template <class V>
struct IntDots {
  struct Sums {
    std::int32_t lane[16];
  };

  // values [512]; x [32] of each row, rows `stride` apart.
  template <int R>
  static SHOAL_INLINE void q8(const std::uint8_t* values, const std::int8_t* x, std::int64_t stride,
                              Sums (&sums)[R]) {
    for (int r = 0; r < R; ++r) {
      for (int j = 0; j < 16; ++j) {
        std::int32_t sum = 0;
        for (int k = 0; k < 32; ++k) {
          sum += (values[k / 4 * 64 + j * 4 + k % 4] - 128) * x[r * stride + k];
        }
        sums[r].lane[j] = sum;
      }
    }
  }
  // values [256], as they are stored: unsigned.
  template <int R>
  static SHOAL_INLINE void q4(const std::uint8_t* values, const std::int8_t* x, std::int64_t stride,
                              Sums (&sums)[R]) {
    for (int r = 0; r < R; ++r) {
      for (int j = 0; j < 16; ++j) {
        std::int32_t sum = 0;
        for (int k = 0; k < 32; ++k) {
          const int both = values[k / 8 * 64 + j * 4 + k % 4];
          sum += (k % 8 < 4 ? both & 15 : both >> 4) * x[r * stride + k];
        }
        sums[r].lane[j] = sum;
      }
    }
  }
  static SHOAL_INLINE V to_f32(const Sums& sums) {
    V v;
    for (int j = 0; j < 16; ++j) v.lane[j] = static_cast<float>(sums.lane[j]);
    return v;
  }
  // Less than sums: `each` subtracted.
  static SHOAL_INLINE Sums minus(const Sums& sums, std::int32_t each) {
    Sums less;
    for (int j = 0; j < 16; ++j) less.lane[j] = sums.lane[j] - each;
    return less;
  }

  // As many independent products as the registers hold, again and again: the yardstick.
  static constexpr std::int64_t kDotLoopOps = 2 * 512;
  static std::int32_t dot_loop(std::int64_t iterations, std::int8_t seed) {
    std::uint8_t values[512];
    std::int8_t x[32];
    for (int i = 0; i < 512; ++i) values[i] = static_cast<std::uint8_t>(i + seed);
    for (int i = 0; i < 32; ++i) x[i] = seed;
    std::int32_t sum = 0;
    for (std::int64_t i = 0; i < iterations; ++i) {
      x[i % 32] = static_cast<std::int8_t>(i);
      Sums sums[1];
      q8<1>(values, x, 32, sums);
      sum += sums[0].lane[i % 16];
    }
    return sum;
  }
};

}  // namespace shoal::kernels
