// SPDX-License-Identifier: Apache-2.0
// Vec16 in portable C++ for machines without AVX2: slow, and bitwise equal to the others.
#pragma once

#include "base/half.h"
#include "kernels/vec16.h"

namespace shoal::kernels::baseline {

struct Vec16 {
  static constexpr bool kHasTileStep = false;
  static constexpr int kTileRows = 1, kTileOuts = 2;  // of linear_many
  static constexpr int kFewRows = 4;
  static constexpr int kDots = 1, kChunks = 1;  // keys at once, head_dim/16 chunks at once
  static constexpr int few_outs(int) { return 1; }

  float lane[16];

  static SHOAL_INLINE Vec16 set1(float x) {
    Vec16 v;
    for (float& l : v.lane) l = x;
    return v;
  }
  static SHOAL_INLINE Vec16 zero() { return set1(0.0f); }

  static SHOAL_INLINE float to_f32(float x) { return x; }
  static SHOAL_INLINE float to_f32(BF16 x) { return base::from_bf16(x.bits); }
  static SHOAL_INLINE float to_f32(F16 x) { return base::from_f16(x.bits); }
  static SHOAL_INLINE float to_f32(std::int8_t x) { return static_cast<float>(x); }
  static SHOAL_INLINE void set(float& to, float x) { to = x; }
  static SHOAL_INLINE void set(BF16& to, float x) { to.bits = base::to_bf16(x); }
  static SHOAL_INLINE void set(F16& to, float x) { to.bits = base::to_f16(x); }

  template <class T>
  static SHOAL_INLINE Vec16 load(const T* p) {
    Vec16 v;
    for (int i = 0; i < 16; ++i) v.lane[i] = to_f32(p[i]);
    return v;
  }
  // Lanes from n on are zero, their memory is not touched.
  template <class T>
  static SHOAL_INLINE Vec16 load_tail(const T* p, int n) {
    Vec16 v = zero();
    for (int i = 0; i < n; ++i) v.lane[i] = to_f32(p[i]);
    return v;
  }
  template <class T>
  SHOAL_INLINE void store(T* p) const {
    for (int i = 0; i < 16; ++i) set(p[i], lane[i]);
  }
  template <class T>
  SHOAL_INLINE void store_tail(T* p, int n) const {
    for (int i = 0; i < n; ++i) set(p[i], lane[i]);
  }

  // Integers in [-127, 127].
  SHOAL_INLINE void store_integers(std::int8_t* p) const {
    for (int i = 0; i < 16; ++i) p[i] = static_cast<std::int8_t>(lane[i]);
  }

  // a * b + c rounded once. Without such an instruction: the product is exact in double; the sum is
  // rounded to odd (Boldo and Melquiond 2008), so that the second rounding, to float, is the only
  // one that counts.
  static SHOAL_INLINE float fma1(float a, float b, float c) {
#if defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    const double product = static_cast<double>(a) * b, addend = c;
    const double sum = product + addend;
    const double t = sum - product;
    const double error = (product - (sum - t)) + (addend - t);
    std::uint64_t bits = __builtin_bit_cast(std::uint64_t, sum);
    const bool inexact = (error < 0) | (error > 0);  // false for NaN
    const std::uint64_t opposite = (bits ^ __builtin_bit_cast(std::uint64_t, error)) >> 63;
    const std::uint64_t step = inexact & ~bits & 1;  // only from an even neighbour to the odd one
    bits += step * (1 - 2 * opposite);
    return static_cast<float>(__builtin_bit_cast(double, bits));
#endif
  }
  static SHOAL_INLINE Vec16 fma(const Vec16& a, const Vec16& b, const Vec16& c) {
    Vec16 v;
    for (int i = 0; i < 16; ++i) v.lane[i] = fma1(a.lane[i], b.lane[i], c.lane[i]);
    return v;
  }
#define SHOAL_LANES(name, expression)                                \
  static SHOAL_INLINE Vec16 name(const Vec16& va, const Vec16& vb) { \
    Vec16 v;                                                         \
    for (int i = 0; i < 16; ++i) {                                   \
      const float a = va.lane[i], b = vb.lane[i];                    \
      v.lane[i] = (expression);                                      \
    }                                                                \
    return v;                                                        \
  }
  SHOAL_LANES(add, a + b)
  SHOAL_LANES(sub, a - b)
  SHOAL_LANES(mul, a* b)
  SHOAL_LANES(div, a / b)
  SHOAL_LANES(max, a > b ? a : b)  // the second when either is NaN
  SHOAL_LANES(min, a < b ? a : b)
#undef SHOAL_LANES

  // x where a < b, else y.
  static SHOAL_INLINE Vec16 select_less(const Vec16& a, const Vec16& b, const Vec16& x,
                                        const Vec16& y) {
    Vec16 v;
    for (int i = 0; i < 16; ++i) v.lane[i] = a.lane[i] < b.lane[i] ? x.lane[i] : y.lane[i];
    return v;
  }

  // p * 2^n in two exact steps (but for underflow), where the float t = n + 1.5 * 2^23.
  static SHOAL_INLINE Vec16 scale_by_power(const Vec16& p, const Vec16& t) {
    Vec16 v;
    for (int i = 0; i < 16; ++i) {
      const std::int32_t n = __builtin_bit_cast(std::int32_t, t.lane[i]) - 0x4b400000;
      const std::int32_t half = n >> 1;
      // NaN makes n meaningless: shift as unsigned.
      const float low = __builtin_bit_cast(float, (static_cast<std::uint32_t>(half) + 127u) << 23);
      const float high = __builtin_bit_cast(
          float, (static_cast<std::uint32_t>(n) - static_cast<std::uint32_t>(half) + 127u) << 23);
      v.lane[i] = p.lane[i] * low * high;
    }
    return v;
  }
  // Lanes [begin, end) of v, `other` elsewhere.
  static SHOAL_INLINE Vec16 keep(const Vec16& v, int begin, int end, float other) {
    Vec16 r;
    for (int i = 0; i < 16; ++i) r.lane[i] = i >= begin && i < end ? v.lane[i] : other;
    return r;
  }

  // The tree of every sum over lanes: fold by 8, by 4, by 2, by 1.
  static SHOAL_INLINE float sum(const Vec16& v) {
    Vec16 s = v;
    for (int step = 8; step >= 1; step /= 2) {
      for (int i = 0; i < step; ++i) s.lane[i] = s.lane[i] + s.lane[i + step];
    }
    return s.lane[0];
  }
  static SHOAL_INLINE Vec16 sum16(const Vec16* v) {
    Vec16 r;
    for (int i = 0; i < 16; ++i) r.lane[i] = sum(v[i]);
    return r;
  }
  static SHOAL_INLINE float max_lane(const Vec16& v) {
    Vec16 s = v;
    for (int step = 8; step >= 1; step /= 2) {
      for (int i = 0; i < step; ++i)
        s.lane[i] = s.lane[i] > s.lane[i + step] ? s.lane[i] : s.lane[i + step];
    }
    return s.lane[0];
  }
};

}  // namespace shoal::kernels::baseline
