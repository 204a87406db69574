// SPDX-License-Identifier: Apache-2.0
// Exact products of int8 activations and packed weights (portable.h), in portable C++. A type like
// this one gives, for R rows and T tiles at once, the sums [R, T] of one group for the 16 outputs
// of each tile: of q_w q_x, with u for q_w in q4. Templates over a Vec16 (rule: vec16.h).
#pragma once

#include "kernels/portable.h"
#include "kernels/vec16.h"

namespace shoal::kernels {

template <class V>
SHOAL_INLINE const QuantizedGroup* rows_behind(const QuantizedGroup* x, std::int64_t bytes) {
  return reinterpret_cast<const QuantizedGroup*>(reinterpret_cast<const char*>(x) + bytes);
}

template <class V>
struct IntDots {
  struct Sums {
    std::int32_t lane[16];
  };

  // Of both at once what the registers hold.
  static constexpr int kRows = 4, kTiles = 1;

  // values [512] of q8, else [256], of the first tile; of the others `tile` bytes behind it. x of
  // the first row; of the others `stride` bytes behind it.
  template <WeightFormat kFormat, int R, int T>
  static SHOAL_INLINE void dots(const std::uint8_t* values, std::int64_t tile,
                                const QuantizedGroup* x, std::int64_t stride, Sums (&sums)[R * T]) {
    for (int i = 0; i < R * T; ++i) {
      const std::int8_t* const row = rows_behind<V>(x, i / T * stride)->values;
      const std::uint8_t* const of_tile = values + i % T * tile;
      for (int j = 0; j < 16; ++j) {
        std::int32_t sum = 0;
        for (int k = 0; k < 32; ++k) sum += value<kFormat>(of_tile, j, k) * row[k];
        sums[i].lane[j] = sum;
      }
    }
  }
  static SHOAL_INLINE V to_f32(const Sums& sums) {
    V v;
    for (int j = 0; j < 16; ++j) v.lane[j] = static_cast<float>(sums.lane[j]);
    return v;
  }
  // As many independent products as the registers hold, again and again: the yardstick.
  static constexpr std::int64_t kDotLoopOps = 2 * 512;
  static std::int32_t dot_loop(std::int64_t iterations, std::int8_t seed) {
    std::uint8_t values[512];
    QuantizedGroup x{};
    for (int i = 0; i < 512; ++i) values[i] = static_cast<std::uint8_t>(i + seed);
    for (std::int8_t& value : x.values) value = seed;
    std::int32_t sum = 0;
    for (std::int64_t i = 0; i < iterations; ++i) {
      x.values[i % 32] = static_cast<std::int8_t>(i);
      Sums sums[1];
      dots<WeightFormat::kQ8, 1, 1>(values, 0, &x, 0, sums);
      sum += sums[0].lane[i % 16];
    }
    return sum;
  }

 private:
  // Of output j and input k.
  template <WeightFormat kFormat>
  static SHOAL_INLINE std::int32_t value(const std::uint8_t* values, int j, int k) {
    if constexpr (kFormat == WeightFormat::kQ8) return values[k / 4 * 64 + j * 4 + k % 4] - 128;
    const int both = values[k / 8 * 64 + j * 4 + k % 4];
    return (k % 8 < 4 ? both & 15 : both >> 4) - (kFormat == WeightFormat::kQ4S ? 8 : 0);
  }
};

}  // namespace shoal::kernels
