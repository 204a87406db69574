// SPDX-License-Identifier: Apache-2.0
// Vec16 as one zmm register: AVX-512 F, BW, DQ, VL.
#pragma once

#include <immintrin.h>

#include "kernels/vec16.h"

namespace shoal::kernels::avx512 {

struct Vec16 {
  static constexpr bool kHasTileStep = false;
  static constexpr int kTileRows = 6, kTileOuts = 4;
  static constexpr int kFewRows = 4;
  static constexpr int kDots = 16, kChunks = 8;
  static constexpr int few_outs(int rows) { return rows <= 2 ? 8 : 4; }

  __m512 v;

  static SHOAL_INLINE Vec16 set1(float x) { return {_mm512_set1_ps(x)}; }
  static SHOAL_INLINE Vec16 zero() { return {_mm512_setzero_ps()}; }

  static SHOAL_INLINE __m512 widen(__m256i bf16) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
  }
  static SHOAL_INLINE __m256i words(const void* p) {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }
  static SHOAL_INLINE Vec16 ints(__m128i bytes) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
  }
  static SHOAL_INLINE __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1u); }

  static SHOAL_INLINE Vec16 load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static SHOAL_INLINE Vec16 load(const BF16* p) { return {widen(words(p))}; }
  static SHOAL_INLINE Vec16 load(const F16* p) { return {_mm512_cvtph_ps(words(p))}; }
  static SHOAL_INLINE Vec16 load(const std::int8_t* p) {
    return ints(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static SHOAL_INLINE Vec16 load_tail(const float* p, int n) {
    return {_mm512_maskz_loadu_ps(first(n), p)};
  }
  static SHOAL_INLINE Vec16 load_tail(const BF16* p, int n) {
    return {widen(_mm256_maskz_loadu_epi16(first(n), p))};
  }
  static SHOAL_INLINE Vec16 load_tail(const F16* p, int n) {
    return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p))};
  }
  static SHOAL_INLINE Vec16 load_tail(const std::int8_t* p, int n) {
    return ints(_mm_maskz_loadu_epi8(first(n), p));
  }
  SHOAL_INLINE void store(float* p) const { _mm512_storeu_ps(p, v); }
  SHOAL_INLINE void store_tail(float* p, int n) const { _mm512_mask_storeu_ps(p, first(n), v); }
  // Rounded to nearest even; a NaN stays one (base/half.h).
  SHOAL_INLINE __m256i bf16() const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i even = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), even);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
  }
  SHOAL_INLINE __m256i f16() const { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT); }
  SHOAL_INLINE void store(BF16* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bf16());
  }
  SHOAL_INLINE void store(F16* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), f16());
  }
  SHOAL_INLINE void store_tail(BF16* p, int n) const {
    _mm256_mask_storeu_epi16(p, first(n), bf16());
  }
  SHOAL_INLINE void store_tail(F16* p, int n) const {
    _mm256_mask_storeu_epi16(p, first(n), f16());
  }
  // Integers in [-127, 127].
  SHOAL_INLINE void store_integers(std::int8_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
  }

  static SHOAL_INLINE Vec16 fma(Vec16 a, Vec16 b, Vec16 c) {
    return {_mm512_fmadd_ps(a.v, b.v, c.v)};
  }
  static SHOAL_INLINE Vec16 add(Vec16 a, Vec16 b) { return {_mm512_add_ps(a.v, b.v)}; }
  static SHOAL_INLINE Vec16 sub(Vec16 a, Vec16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
  static SHOAL_INLINE Vec16 mul(Vec16 a, Vec16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
  static SHOAL_INLINE Vec16 div(Vec16 a, Vec16 b) { return {_mm512_div_ps(a.v, b.v)}; }
  static SHOAL_INLINE Vec16 max(Vec16 a, Vec16 b) { return {_mm512_max_ps(a.v, b.v)}; }
  static SHOAL_INLINE Vec16 min(Vec16 a, Vec16 b) { return {_mm512_min_ps(a.v, b.v)}; }

  static SHOAL_INLINE Vec16 select_less(Vec16 a, Vec16 b, Vec16 x, Vec16 y) {
    return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ), y.v, x.v)};
  }
  static SHOAL_INLINE Vec16 from_ints(__m256i lo, __m256i hi) {
    return {_mm512_cvtepi32_ps(_mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1))};
  }

  static SHOAL_INLINE Vec16 scale_by_power(Vec16 p, Vec16 t) {
    const __m512i bias = _mm512_set1_epi32(127);
    const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(t.v), _mm512_set1_epi32(0x4b400000));
    const __m512i low = _mm512_srai_epi32(n, 1), high = _mm512_sub_epi32(n, low);
    const __m512 once =
        _mm512_mul_ps(p.v, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(low, bias), 23)));
    return {_mm512_mul_ps(
        once, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(high, bias), 23)))};
  }
  static SHOAL_INLINE Vec16 keep(Vec16 v, int begin, int end, float other) {
    const __mmask16 in = static_cast<__mmask16>(first(end) & ~first(begin));
    return {_mm512_mask_mov_ps(_mm512_set1_ps(other), in, v.v)};
  }

  static SHOAL_INLINE float sum(Vec16 v) {
    const __m256 s8 = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
    const __m128 s4 = _mm_add_ps(_mm256_castps256_ps128(s8), _mm256_extractf128_ps(s8, 1));
    const __m128 s2 = _mm_add_ps(s4, _mm_movehl_ps(s4, s4));
    return _mm_cvtss_f32(_mm_add_ss(s2, _mm_movehdup_ps(s2)));
  }
  // Sixteen vectors summed side by side, in the tree of sum().
  static SHOAL_INLINE Vec16 sum16(const Vec16* v) {
    __m512 fold[4];
    SHOAL_UNROLL
    for (int j = 0; j < 4; ++j) {
      const __m512 c = _mm512_add_ps(_mm512_shuffle_f32x4(v[j].v, v[j + 4].v, 0x44),
                                     _mm512_shuffle_f32x4(v[j].v, v[j + 4].v, 0xee));
      const __m512 d = _mm512_add_ps(_mm512_shuffle_f32x4(v[j + 8].v, v[j + 12].v, 0x44),
                                     _mm512_shuffle_f32x4(v[j + 8].v, v[j + 12].v, 0xee));
      fold[j] = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x88), _mm512_shuffle_f32x4(c, d, 0xdd));
    }
    const __m512 g = _mm512_add_ps(_mm512_shuffle_ps(fold[0], fold[1], 0x44),
                                   _mm512_shuffle_ps(fold[0], fold[1], 0xee));
    const __m512 h = _mm512_add_ps(_mm512_shuffle_ps(fold[2], fold[3], 0x44),
                                   _mm512_shuffle_ps(fold[2], fold[3], 0xee));
    return {_mm512_add_ps(_mm512_shuffle_ps(g, h, 0x88), _mm512_shuffle_ps(g, h, 0xdd))};
  }
  static SHOAL_INLINE float max_lane(Vec16 v) { return _mm512_reduce_max_ps(v.v); }
};

}  // namespace shoal::kernels::avx512
