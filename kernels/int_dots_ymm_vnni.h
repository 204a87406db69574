// SPDX-License-Identifier: Apache-2.0
// As int_dots.h, in two ymm registers with sums of four products: VNNI. Weights are the unsigned
// side, as they are packed; what was added to them is taken away by where a sum begins. `Four` is
// the instruction in one of its two encodings: add(sums, unsigned bytes, signed bytes).
#pragma once

#include <immintrin.h>

#include "kernels/int_dots.h"

namespace shoal::kernels {

// The byte that is packed for q_w is more by 2 to the power of this; 0: by none.
template <WeightFormat kFormat>
inline constexpr int kPackedShift = kFormat == WeightFormat::kQ8    ? 7
                                    : kFormat == WeightFormat::kQ4S ? 3
                                                                    : 0;

template <class V, class Four>
struct IntDotsYmmVnni {
  struct Sums {
    __m256i lo, hi;
  };
  static constexpr int kRows = 4, kTiles = 1;

  template <WeightFormat kFormat, int R, int T>
  static SHOAL_INLINE void dots(const std::uint8_t* values, std::int64_t tile,
                                const QuantizedGroup* x, std::int64_t stride, Sums (&sums)[R * T]) {
    SHOAL_UNROLL
    for (int t = 0; t < T; ++t) {
      Sums of_tile[R];
      one_tile<kFormat, R>(values + t * tile, x, stride, of_tile);
      SHOAL_UNROLL
      for (int r = 0; r < R; ++r) sums[r * T + t] = of_tile[r];
    }
  }
  static SHOAL_INLINE V to_f32(const Sums& sums) { return V::from_ints(sums.lo, sums.hi); }

  static constexpr int kChains = 10;
  static constexpr std::int64_t kDotLoopOps = kChains * 2 * 32;
  static std::int32_t dot_loop(std::int64_t iterations, std::int8_t seed) {
    const __m256i x = _mm256_set1_epi8(seed);
    __m256i values = _mm256_set1_epi8(15);
    __m256i sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = _mm256_setzero_si256();
    for (std::int64_t n = 0; n < iterations; ++n) {
      SHOAL_UNROLL
      for (int i = 0; i < kChains; ++i) {
        asm volatile("" : "+x"(values));  // or all products are the same one
        sums[i] = Four::add(sums[i], values, x);
      }
    }
    for (int i = 1; i < kChains; ++i) sums[0] = _mm256_add_epi32(sums[0], sums[i]);
    return _mm256_extract_epi32(sums[0], 0);
  }

 private:
  template <WeightFormat kFormat, int R>
  static SHOAL_INLINE void one_tile(const std::uint8_t* values, const QuantizedGroup* x,
                                    std::int64_t stride, Sums (&sums)[R]) {
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) {
      sums[r].lo = sums[r].hi = _mm256_setzero_si256();
      if constexpr (kPackedShift<kFormat> == 0) continue;
      const __m256i sum = _mm256_cvtps_epi32(_mm256_set1_ps(rows_behind<V>(x, r * stride)->sum));
      sums[r].lo = sums[r].hi =
          _mm256_sub_epi32(sums[r].lo, _mm256_slli_epi32(sum, kPackedShift<kFormat>));
    }
    SHOAL_UNROLL
    for (int line = 0; line < (kFormat == WeightFormat::kQ8 ? 8 : 4); ++line) {
      const __m256i lo = load(values + line * 64), hi = load(values + line * 64 + 32);
      if constexpr (kFormat == WeightFormat::kQ8) {
        add_run<R>(lo, hi, x, stride, line, sums);
      } else {
        const __m256i half = _mm256_set1_epi8(15);
        add_run<R>(_mm256_and_si256(lo, half), _mm256_and_si256(hi, half), x, stride, 2 * line,
                   sums);
        add_run<R>(_mm256_and_si256(_mm256_srli_epi16(lo, 4), half),
                   _mm256_and_si256(_mm256_srli_epi16(hi, 4), half), x, stride, 2 * line + 1, sums);
      }
    }
  }
  static SHOAL_INLINE __m256i load(const std::uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  // The products of one run of 4 inputs.
  template <int R>
  static SHOAL_INLINE void add_run(__m256i lo, __m256i hi, const QuantizedGroup* x,
                                   std::int64_t stride, int run, Sums (&sums)[R]) {
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) {
      std::int32_t four;
      __builtin_memcpy(&four, rows_behind<V>(x, r * stride)->values + run * 4, sizeof(four));
      const __m256i row = _mm256_set1_epi32(four);
      sums[r].lo = Four::add(sums[r].lo, lo, row);
      sums[r].hi = Four::add(sums[r].hi, hi, row);
    }
  }
};

}  // namespace shoal::kernels
