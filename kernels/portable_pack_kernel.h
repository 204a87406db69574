// SPDX-License-Identifier: Apache-2.0
// Chooses scales and quantizes weights into the packed form of portable.h, 16 outputs at a time,
// one in each lane: so every instruction set computes the same. Templates over a Vec16 (rule:
// vec16.h).
//
// A group's scale (and minimum) is the candidate with the least sum of squared errors, the first of
// equals; the sum is taken in ascending order of k, error = fma(q, s, -w), or fma(q, s, m) - w.
//   q8    s = f16(a f / 127), a = max|w|
//   q4s   s = f16(w* f / -8), and f16(w* f / 8): w* is the weight of largest size, the first of
//   equals q4    half = (max - min) / 2 * f, middle = (max + min) / 2; s = f16(2 half / 15),
//         m = f16(middle - half)
// inv = 1 / s, or 0 where s is 0; q = w inv, or (w - m) inv, held in range and rounded half to
// even.
#pragma once

#include "kernels/portable_kernel.h"

namespace shoal::kernels {

inline constexpr float kQ8Factors[] = {1.0f, 0.997f, 0.994f};
inline constexpr float kQ4Factors[] = {1.0f, 0.97f, 0.94f, 0.91f, 0.88f, 0.85f};
inline constexpr float kQ4SFactors[] = {1.0f, 0.97f, 0.94f, 0.91f, 0.88f, 0.85f, 0.82f, 0.79f};
inline constexpr float kQ4SLevels[] = {-8.0f, 8.0f};

// f16 and back: finite, whatever comes.
template <class V>
SHOAL_INLINE V rounded_f16(const V& v) {
  F16 half[16];
  V::max(V::min(v, V::set1(65504.0f)), V::set1(-65504.0f)).store(half);
  return V::load(half);
}

template <class V>
struct GroupChoice {
  V scale, least, error;
};

template <class V>
SHOAL_INLINE V inverse_of(const V& scale) {
  const V none = V::select_less(V::zero(), magnitude(scale), V::set1(1.0f), V::zero());
  return V::mul(none, V::div(V::set1(1.0f),
                             V::select_less(V::zero(), magnitude(scale), scale, V::set1(1.0f))));
}

template <class V, WeightFormat kFormat>
SHOAL_INLINE V quantized(const V& w, const V& least, const V& inverse) {
  if constexpr (kFormat == WeightFormat::kQ8)
    return round_in<V>(V::mul(w, inverse), -127.0f, 127.0f);
  if constexpr (kFormat == WeightFormat::kQ4S) return round_in<V>(V::mul(w, inverse), -8.0f, 7.0f);
  return round_in<V>(V::mul(V::sub(w, least), inverse), 0.0f, 15.0f);
}

// Takes the candidate where it is better.
template <class V, WeightFormat kFormat>
SHOAL_INLINE void try_scale(const float* w, const V& scale, const V& least, bool first,
                            GroupChoice<V>& best) {
  const V inverse = inverse_of(scale);
  V error = V::zero();
  for (int k = 0; k < 32; ++k) {
    const V weight = V::load(w + k * 16);
    const V q = quantized<V, kFormat>(weight, least, inverse);
    V miss;
    if constexpr (kFormat == WeightFormat::kQ4) {
      miss = V::sub(V::fma(q, scale, least), weight);
    } else {
      miss = V::fma(q, scale, V::sub(V::zero(), weight));
    }
    error = V::fma(miss, miss, error);
  }
  if (first) {
    best = {scale, least, error};
    return;
  }
  best.scale = V::select_less(error, best.error, scale, best.scale);
  best.least = V::select_less(error, best.error, least, best.least);
  best.error = V::select_less(error, best.error, error, best.error);
}

template <class V, WeightFormat kFormat>
SHOAL_INLINE GroupChoice<V> choose_scale(const float* w) {
  GroupChoice<V> best{};
  bool first = true;
  if constexpr (kFormat == WeightFormat::kQ4) {
    V low = V::load(w), high = low;
    for (int k = 1; k < 32; ++k) {
      low = V::min(low, V::load(w + k * 16));
      high = V::max(high, V::load(w + k * 16));
    }
    const V middle = V::mul(V::add(high, low), V::set1(0.5f));
    const V reach = V::mul(V::sub(high, low), V::set1(0.5f));
    for (const float factor : kQ4Factors) {
      const V half = V::mul(reach, V::set1(factor));
      const V scale = rounded_f16(V::div(V::add(half, half), V::set1(15.0f)));
      try_scale<V, kFormat>(w, scale, rounded_f16(V::sub(middle, half)), first, best);
      first = false;
    }
  } else {
    V largest = V::load(w);
    for (int k = 1; k < 32; ++k) {
      const V weight = V::load(w + k * 16);
      largest = V::select_less(magnitude(largest), magnitude(weight), weight, largest);
    }
    if constexpr (kFormat == WeightFormat::kQ8) {
      for (const float factor : kQ8Factors) {
        const V scale = V::div(V::mul(magnitude(largest), V::set1(factor)), V::set1(127.0f));
        try_scale<V, kFormat>(w, rounded_f16(scale), V::zero(), first, best);
        first = false;
      }
    } else {
      for (const float factor : kQ4SFactors) {
        for (const float levels : kQ4SLevels) {
          const V scale = V::div(V::mul(largest, V::set1(factor)), V::set1(levels));
          try_scale<V, kFormat>(w, rounded_f16(scale), V::zero(), first, best);
          first = false;
        }
      }
    }
  }
  return best;
}

// w [32, 16]: of each input the weights of 16 outputs. to [packed_group_bytes].
template <class V, WeightFormat kFormat>
SHOAL_INLINE void pack_group_typed(const float* w, std::uint8_t* to) {
  const GroupChoice<V> chosen = choose_scale<V, kFormat>(w);
  chosen.scale.store(reinterpret_cast<F16*>(to));
  std::uint8_t* values = to + 32;
  if constexpr (kFormat == WeightFormat::kQ4) {
    chosen.least.store(reinterpret_cast<F16*>(to) + 16);
    values += 32;
  }
  const V inverse = inverse_of(chosen.scale);
  constexpr int kOffset = kFormat == WeightFormat::kQ8 ? 128 : kFormat == WeightFormat::kQ4 ? 0 : 8;
  for (int k = 0; k < 32; ++k) {
    float q[16];
    quantized<V, kFormat>(V::load(w + k * 16), chosen.least, inverse).store(q);
    for (int j = 0; j < 16; ++j) {
      const auto value = static_cast<std::uint8_t>(static_cast<int>(q[j]) + kOffset);
      if constexpr (kFormat == WeightFormat::kQ8) {
        values[k / 4 * 64 + j * 4 + k % 4] = value;
      } else {
        std::uint8_t& both = values[k / 8 * 64 + j * 4 + k % 4];
        both = k % 8 < 4 ? value : static_cast<std::uint8_t>(both | value << 4);
      }
    }
  }
}

template <class V>
void pack_group(const float* w, WeightFormat format, std::uint8_t* to) {
  switch (format) {
    case WeightFormat::kQ8:
      return pack_group_typed<V, WeightFormat::kQ8>(w, to);
    case WeightFormat::kQ4:
      return pack_group_typed<V, WeightFormat::kQ4>(w, to);
    default:
      return pack_group_typed<V, WeightFormat::kQ4S>(w, to);
  }
}

}  // namespace shoal::kernels
