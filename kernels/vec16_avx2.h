// SPDX-License-Identifier: Apache-2.0
// Vec16 as two ymm registers: AVX2, FMA, F16C.
#pragma once

#include <immintrin.h>

#include "kernels/vec16.h"

namespace shoal::kernels::avx2 {

struct Vec16 {
  static constexpr bool kHasTileStep = true;
  static constexpr int kTileRows = 3, kTileOuts = 2;
  static constexpr int kFewRows = 3;
  static constexpr int kDots = 4, kChunks = 4;
  static constexpr int few_outs(int rows) { return rows == 1 ? 8 : rows <= 3 ? 2 : 1; }

  __m256 lo, hi;

  static SHOAL_INLINE Vec16 set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static SHOAL_INLINE Vec16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }

  static SHOAL_INLINE Vec16 load(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  static SHOAL_INLINE __m128i half(const void* p, int i) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p) + i);
  }
  static SHOAL_INLINE __m256 widen(__m128i bf16) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
  }
  static SHOAL_INLINE Vec16 load(const BF16* p) { return {widen(half(p, 0)), widen(half(p, 1))}; }
  static SHOAL_INLINE Vec16 load(const F16* p) {
    return {_mm256_cvtph_ps(half(p, 0)), _mm256_cvtph_ps(half(p, 1))};
  }
  static SHOAL_INLINE Vec16 load(const std::int8_t* p) {
    const __m128i all = half(p, 0);
    return from_ints(_mm256_cvtepi8_epi32(all), _mm256_cvtepi8_epi32(_mm_srli_si128(all, 8)));
  }
  static SHOAL_INLINE __m256 load_half(const float* p) { return _mm256_loadu_ps(p); }
  static SHOAL_INLINE __m256 load_half(const BF16* p) { return widen(half(p, 0)); }
  static SHOAL_INLINE __m256 load_half(const F16* p) { return _mm256_cvtph_ps(half(p, 0)); }

  // One step of a register tile, the low halves before the high ones: 12 sums, 2 weights and an x
  // fit 16 registers.
  template <int R, int N, class Rows>
  static SHOAL_INLINE void tile_step(const float* x, std::int64_t x_stride, const Rows& w,
                                     Vec16 (&acc)[R * N]) {
    __m256 weights[N];
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) weights[n] = w.template load_half<Vec16>(n, 0);
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) {
      __m256 row = load_half(x + r * x_stride);
      asm("" : "+x"(row));  // in a register: g++ would load it again for each of its uses
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) {
        acc[r * N + n].lo = _mm256_fmadd_ps(row, weights[n], acc[r * N + n].lo);
      }
    }
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) weights[n] = w.template load_half<Vec16>(n, 8);
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) {
      __m256 row = load_half(x + r * x_stride + 8);
      asm("" : "+x"(row));
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) {
        acc[r * N + n].hi = _mm256_fmadd_ps(row, weights[n], acc[r * N + n].hi);
      }
    }
  }

  template <class T>
  static SHOAL_INLINE Vec16 load_tail(const T* p, int n) {
    T padded[16] = {};
    for (int i = 0; i < n; ++i) padded[i] = p[i];
    return load(padded);
  }
  SHOAL_INLINE void store(float* p) const {
    _mm256_storeu_ps(p, lo);
    _mm256_storeu_ps(p + 8, hi);
  }
  // Rounded to nearest even; a NaN stays one (base/half.h).
  static SHOAL_INLINE __m128i narrow(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i even = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), even);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i wide = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  }
  static SHOAL_INLINE __m128i narrow_f16(__m256 x) {
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
  }
  SHOAL_INLINE void store(BF16* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(lo));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p) + 1, narrow(hi));
  }
  SHOAL_INLINE void store(F16* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow_f16(lo));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p) + 1, narrow_f16(hi));
  }
  template <class T>
  SHOAL_INLINE void store_tail(T* p, int n) const {
    T all[16];
    store(all);
    for (int i = 0; i < n; ++i) p[i] = all[i];
  }

  // Integers in [-127, 127].
  SHOAL_INLINE void store_integers(std::int8_t* p) const {
    const __m256i words = _mm256_permute4x64_epi64(
        _mm256_packs_epi32(_mm256_cvtps_epi32(lo), _mm256_cvtps_epi32(hi)), 0xd8);
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(p),
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
  }
  static SHOAL_INLINE Vec16 fma(Vec16 a, Vec16 b, Vec16 c) {
    return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
  }
  static SHOAL_INLINE Vec16 add(Vec16 a, Vec16 b) {
    return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
  }
  static SHOAL_INLINE Vec16 sub(Vec16 a, Vec16 b) {
    return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
  }
  static SHOAL_INLINE Vec16 mul(Vec16 a, Vec16 b) {
    return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
  }
  static SHOAL_INLINE Vec16 div(Vec16 a, Vec16 b) {
    return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
  }
  static SHOAL_INLINE Vec16 max(Vec16 a, Vec16 b) {
    return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
  }
  static SHOAL_INLINE Vec16 min(Vec16 a, Vec16 b) {
    return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
  }

  static SHOAL_INLINE __m256 select_half(__m256 a, __m256 b, __m256 x, __m256 y) {
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
  }
  static SHOAL_INLINE Vec16 select_less(Vec16 a, Vec16 b, Vec16 x, Vec16 y) {
    return {select_half(a.lo, b.lo, x.lo, y.lo), select_half(a.hi, b.hi, x.hi, y.hi)};
  }
  static SHOAL_INLINE Vec16 from_ints(__m256i lo, __m256i hi) {
    return {_mm256_cvtepi32_ps(lo), _mm256_cvtepi32_ps(hi)};
  }

  static SHOAL_INLINE __m256 scale_half(__m256 p, __m256 t) {
    const __m256i bias = _mm256_set1_epi32(127);
    const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_set1_epi32(0x4b400000));
    const __m256i low = _mm256_srai_epi32(n, 1), high = _mm256_sub_epi32(n, low);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(low, bias), 23)));
    return _mm256_mul_ps(p,
                         _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(high, bias), 23)));
  }
  static SHOAL_INLINE Vec16 scale_by_power(Vec16 p, Vec16 t) {
    return {scale_half(p.lo, t.lo), scale_half(p.hi, t.hi)};
  }
  static SHOAL_INLINE Vec16 keep(Vec16 v, int begin, int end, float other) {
    const __m256i first = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i second = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
    const __m256i from = _mm256_set1_epi32(begin - 1), to = _mm256_set1_epi32(end);
    const __m256i in_lo =
        _mm256_and_si256(_mm256_cmpgt_epi32(first, from), _mm256_cmpgt_epi32(to, first));
    const __m256i in_hi =
        _mm256_and_si256(_mm256_cmpgt_epi32(second, from), _mm256_cmpgt_epi32(to, second));
    const __m256 fill = _mm256_set1_ps(other);
    return {_mm256_blendv_ps(fill, v.lo, _mm256_castsi256_ps(in_lo)),
            _mm256_blendv_ps(fill, v.hi, _mm256_castsi256_ps(in_hi))};
  }

  static SHOAL_INLINE float sum(Vec16 v) {
    const __m256 s8 = _mm256_add_ps(v.lo, v.hi);
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
  }
  // Eight vectors summed side by side, in the tree of sum().
  static SHOAL_INLINE __m256 sum8(const Vec16* v) {
    __m256 fold[4];
    SHOAL_UNROLL
    for (int j = 0; j < 4; ++j) {
      const __m256 a = _mm256_add_ps(v[j].lo, v[j].hi);
      const __m256 b = _mm256_add_ps(v[j + 4].lo, v[j + 4].hi);
      fold[j] =
          _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    }
    const __m256 g = _mm256_add_ps(_mm256_shuffle_ps(fold[0], fold[1], 0x44),
                                   _mm256_shuffle_ps(fold[0], fold[1], 0xee));
    const __m256 h = _mm256_add_ps(_mm256_shuffle_ps(fold[2], fold[3], 0x44),
                                   _mm256_shuffle_ps(fold[2], fold[3], 0xee));
    return _mm256_add_ps(_mm256_shuffle_ps(g, h, 0x88), _mm256_shuffle_ps(g, h, 0xdd));
  }
  static SHOAL_INLINE Vec16 sum16(const Vec16* v) { return {sum8(v), sum8(v + 8)}; }
  static SHOAL_INLINE float max_lane(Vec16 v) {
    const __m256 s8 = _mm256_max_ps(v.lo, v.hi);
    const __m128 s4 = _mm_max_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_max_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_max_ss(s2, _mm_movehdup_ps(s2)));
  }
};

}  // namespace shoal::kernels::avx2
