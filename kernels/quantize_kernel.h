// SPDX-License-Identifier: Apache-2.0
// Values as int8 with a scale, as activations (portable.h) and kept keys and values (kv_dtype.h)
// are written. Templates over a Vec16 (rule: vec16.h).
#pragma once

#include "kernels/vec16.h"

namespace shoal::kernels {

// Adding it, and taking it away, rounds to an integer.
inline constexpr float kRoundMagic = 12582912.0f;  // 1.5 * 2^23

template <class V>
SHOAL_INLINE V magnitude(const V& v) {
  return V::max(v, V::sub(V::zero(), v));
}

template <class V>
SHOAL_INLINE V round_in(const V& v, float least, float most) {
  const V magic = V::set1(kRoundMagic);
  return V::sub(V::add(V::max(V::min(v, V::set1(most)), V::set1(least)), magic), magic);
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

}  // namespace shoal::kernels
