// SPDX-License-Identifier: Apache-2.0
// Values as int8 with a scale, as activations (portable.h) and kept keys and values (kv_dtype.h)
// are written. Templates over a Vec16 (rule: vec16.h).
#pragma once

#include "kernels/vec16.h"

namespace shoal::kernels {

// Adding it rounds to an integer, in the low bits.
inline constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23

template <class V>
SHOAL_INLINE V magnitude(const V& v) {
  return V::max(v, V::sub(V::zero(), v));
}

struct Int8Scale {
  float scale = 0, inverse = 0;
};
// Of values whose largest magnitude is `largest`. `finite`: the sum of them times zero, which is 0
// when all are finite, else NaN: a maximum may lose one.
template <class V>
SHOAL_INLINE Int8Scale int8_scale(float largest, float finite) {
  constexpr float kLeast = 0x1p-126f;
  if (finite != 0.0f) return {__builtin_nanf(""), 0.0f};
  const float scale = largest / 127.0f;
  if (!(scale >= kLeast)) return {0.0f, 0.0f};
  return {scale, 1.0f / scale};
}

// The low bits of each lane, less those of kRoundMagic: an integer in [-127, 127].
template <class V>
SHOAL_INLINE V rounded_bits(const V& x, const V& inverse) {
  const V held = V::max(V::min(V::mul(x, inverse), V::set1(127.0f)), V::set1(-127.0f));
  return V::add(held, V::set1(kRoundMagic));
}
template <class V>
SHOAL_INLINE std::int32_t rounded_int(float bits) {
  return __builtin_bit_cast(std::int32_t, bits) - __builtin_bit_cast(std::int32_t, kRoundMagic);
}

}  // namespace shoal::kernels
