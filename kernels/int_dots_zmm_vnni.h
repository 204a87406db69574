// SPDX-License-Identifier: Apache-2.0
// As int_dots_ymm_vnni.h, in one zmm register, of which there are twice as many: AVX-512 VNNI.
#pragma once

#include <immintrin.h>

#include "kernels/int_dots_ymm_vnni.h"

namespace shoal::kernels {

template <class V>
struct IntDotsZmmVnni {
  struct Sums {
    __m512i all;
  };
  static constexpr int kRows = 6, kTiles = 2;

  template <WeightFormat kFormat, int R, int T>
  static SHOAL_INLINE void dots(const std::uint8_t* values, std::int64_t tile,
                                const QuantizedGroup* x, std::int64_t stride, Sums (&sums)[R * T]) {
    SHOAL_UNROLL
    for (int i = 0; i < R * T; ++i) {
      sums[i].all = _mm512_setzero_si512();
      if constexpr (kPackedShift<kFormat> == 0) continue;
      const __m512i sum =
          _mm512_cvtps_epi32(_mm512_set1_ps(rows_behind<V>(x, i / T * stride)->sum));
      sums[i].all = _mm512_sub_epi32(sums[i].all, _mm512_slli_epi32(sum, kPackedShift<kFormat>));
    }
    SHOAL_UNROLL
    for (int line = 0; line < (kFormat == WeightFormat::kQ8 ? 8 : 4); ++line) {
      __m512i bytes[T];
      SHOAL_UNROLL
      for (int t = 0; t < T; ++t) bytes[t] = _mm512_loadu_si512(values + t * tile + line * 64);
      if constexpr (kFormat == WeightFormat::kQ8) {
        add_run<R, T>(bytes, x, stride, line, sums);
      } else {
        const __m512i half = _mm512_set1_epi8(15);
        __m512i run[T];
        SHOAL_UNROLL
        for (int t = 0; t < T; ++t) run[t] = _mm512_and_si512(bytes[t], half);
        add_run<R, T>(run, x, stride, 2 * line, sums);
        SHOAL_UNROLL
        for (int t = 0; t < T; ++t) {
          run[t] = _mm512_and_si512(_mm512_srli_epi16(bytes[t], 4), half);
        }
        add_run<R, T>(run, x, stride, 2 * line + 1, sums);
      }
    }
  }
  static SHOAL_INLINE V to_f32(const Sums& sums) { return {_mm512_cvtepi32_ps(sums.all)}; }

  static constexpr int kChains = 12;
  static constexpr std::int64_t kDotLoopOps = kChains * 2 * 64;
  static std::int32_t dot_loop(std::int64_t iterations, std::int8_t seed) {
    const __m512i x = _mm512_set1_epi8(seed);
    __m512i values = _mm512_set1_epi8(15);
    __m512i sums[kChains];
    for (int i = 0; i < kChains; ++i) sums[i] = _mm512_setzero_si512();
    for (std::int64_t n = 0; n < iterations; ++n) {
      SHOAL_UNROLL
      for (int i = 0; i < kChains; ++i) {
        asm volatile("" : "+v"(values));  // or all products are the same one
        sums[i] = _mm512_dpbusd_epi32(sums[i], values, x);
      }
    }
    for (int i = 1; i < kChains; ++i) sums[0] = _mm512_add_epi32(sums[0], sums[i]);
    return _mm512_reduce_add_epi32(sums[0]);
  }

 private:
  // The products of one run of 4 inputs.
  template <int R, int T>
  static SHOAL_INLINE void add_run(const __m512i (&values)[T], const QuantizedGroup* x,
                                   std::int64_t stride, int run, Sums (&sums)[R * T]) {
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) {
      std::int32_t four;
      __builtin_memcpy(&four, rows_behind<V>(x, r * stride)->values + run * 4, sizeof(four));
      const __m512i row = _mm512_set1_epi32(four);
      SHOAL_UNROLL
      for (int t = 0; t < T; ++t) {
        sums[r * T + t].all = _mm512_dpbusd_epi32(sums[r * T + t].all, values[t], row);
      }
    }
  }
};

}  // namespace shoal::kernels
