// SPDX-License-Identifier: Apache-2.0
// As int_dots.h, in two ymm registers: AVX2. Bytes are multiplied in pairs into 16 bits, which
// saturate nowhere: 2 * 127 * 127 < 2^15, and for half bytes 16 * 15 * 127 < 2^15.
#pragma once

#include <immintrin.h>

#include "kernels/int_dots.h"

namespace shoal::kernels {

template <class V>
struct IntDotsYmm {
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

  static constexpr std::int64_t kDotLoopOps = 4 * 2 * 32;
  static std::int32_t dot_loop(std::int64_t iterations, std::int8_t seed) {
    const __m256i x = _mm256_set1_epi8(seed), zero = _mm256_setzero_si256();
    __m256i values = _mm256_set1_epi8(15);
    __m256i a = zero, b = zero, c = zero, d = zero;
    for (std::int64_t n = 0; n < iterations; ++n) {
      a = add_product(a, values, x);
      b = add_product(b, values, x);
      c = add_product(c, values, x);
      d = add_product(d, values, x);
    }
    const __m256i sum = _mm256_add_epi16(_mm256_add_epi16(a, b), _mm256_add_epi16(c, d));
    return _mm256_extract_epi16(sum, 0);
  }

 private:
  template <WeightFormat kFormat, int R>
  static SHOAL_INLINE void one_tile(const std::uint8_t* values, const QuantizedGroup* x,
                                    std::int64_t stride, Sums (&sums)[R]) {
    if constexpr (kFormat == WeightFormat::kQ8) return q8<R>(values, x, stride, sums);
    q4<R>(values, x, stride, sums);
    if constexpr (kFormat == WeightFormat::kQ4S) {
      SHOAL_UNROLL
      for (int r = 0; r < R; ++r) {
        const __m256i less =
            _mm256_cvtps_epi32(_mm256_set1_ps(8 * rows_behind<V>(x, r * stride)->sum));
        sums[r] = {_mm256_sub_epi32(sums[r].lo, less), _mm256_sub_epi32(sums[r].hi, less)};
      }
    }
  }
  static SHOAL_INLINE __m256i load(const std::uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static SHOAL_INLINE __m256i four(const std::int8_t* x) {
    std::int32_t bits;
    __builtin_memcpy(&bits, x, sizeof(bits));
    return _mm256_set1_epi32(bits);
  }

  template <int R>
  static SHOAL_INLINE void q8(const std::uint8_t* values, const QuantizedGroup* x,
                              std::int64_t stride, Sums (&sums)[R]) {
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i offset = _mm256_set1_epi8(static_cast<char>(0x80));
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) sums[r] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int run = 0; run < 8; ++run) {
      const __m256i lo = _mm256_xor_si256(load(values + run * 64), offset);
      const __m256i hi = _mm256_xor_si256(load(values + run * 64 + 32), offset);
      SHOAL_UNROLL
      for (int r = 0; r < R; ++r) {
        // |x| as the unsigned side, its sign on the weight's.
        const __m256i row = four(rows_behind<V>(x, r * stride)->values + run * 4);
        const __m256i size = _mm256_abs_epi8(row);
        const __m256i a = _mm256_maddubs_epi16(size, _mm256_sign_epi8(lo, row));
        const __m256i b = _mm256_maddubs_epi16(size, _mm256_sign_epi8(hi, row));
        sums[r].lo = _mm256_add_epi32(sums[r].lo, _mm256_madd_epi16(a, ones));
        sums[r].hi = _mm256_add_epi32(sums[r].hi, _mm256_madd_epi16(b, ones));
      }
    }
  }
  template <int R>
  static SHOAL_INLINE void q4(const std::uint8_t* values, const QuantizedGroup* x,
                              std::int64_t stride, Sums (&sums)[R]) {
    const __m256i half = _mm256_set1_epi8(15);
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) sums[r] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (int run = 0; run < 4; ++run) {
      const __m256i lo = load(values + run * 64), hi = load(values + run * 64 + 32);
      const __m256i lo_even = _mm256_and_si256(lo, half), hi_even = _mm256_and_si256(hi, half);
      const __m256i lo_odd = _mm256_and_si256(_mm256_srli_epi16(lo, 4), half);
      const __m256i hi_odd = _mm256_and_si256(_mm256_srli_epi16(hi, 4), half);
      SHOAL_UNROLL
      for (int r = 0; r < R; ++r) {
        const std::int8_t* const row = rows_behind<V>(x, r * stride)->values + run * 8;
        const __m256i even = four(row), odd = four(row + 4);
        sums[r].lo = _mm256_add_epi16(sums[r].lo, _mm256_maddubs_epi16(lo_even, even));
        sums[r].hi = _mm256_add_epi16(sums[r].hi, _mm256_maddubs_epi16(hi_even, even));
        sums[r].lo = _mm256_add_epi16(sums[r].lo, _mm256_maddubs_epi16(lo_odd, odd));
        sums[r].hi = _mm256_add_epi16(sums[r].hi, _mm256_maddubs_epi16(hi_odd, odd));
      }
    }
    const __m256i ones = _mm256_set1_epi16(1);
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) {
      sums[r].lo = _mm256_madd_epi16(sums[r].lo, ones);
      sums[r].hi = _mm256_madd_epi16(sums[r].hi, ones);
    }
  }
  static SHOAL_INLINE __m256i add_product(__m256i sum, __m256i& values, __m256i x) {
    asm volatile("" : "+x"(values));  // or all products are the same one
    return _mm256_add_epi16(sum, _mm256_maddubs_epi16(values, x));
  }
};

}  // namespace shoal::kernels
