// SPDX-License-Identifier: Apache-2.0
// The CPU's arithmetic for kernels, operation by operation: row_kernel.h, quantize_kernel.h and
// vec16_baseline.h hold the same for lanes of the CPU, with sources. Comparisons are theirs too:
// the second when either is NaN.
#pragma once

#include "kernels/cuda/device.cuh"

namespace shoal::kernels::cuda {

SHOAL_DEVICE float larger(float a, float b) { return a > b ? a : b; }
SHOAL_DEVICE float smaller(float a, float b) { return a < b ? a : b; }
SHOAL_DEVICE float magnitude(float v) { return larger(v, sub(0.0f, v)); }
SHOAL_DEVICE float minus_infinity() { return float_of(0xff800000u); }
SHOAL_DEVICE float not_a_number() { return float_of(0x7fc00000u); }

SHOAL_DEVICE float from_bf16(std::uint16_t bits) {
  return float_of(static_cast<std::uint32_t>(bits) << 16);
}
SHOAL_DEVICE std::uint16_t to_bf16(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const std::uint32_t quiet = bits >> 16 | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}
SHOAL_DEVICE std::uint16_t to_f16(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t size = bits & 0x7fffffffu;
  const std::uint32_t small = bits_of(add(float_of(size), 0.5f)) - 0x3f000000u;
  const std::uint32_t normal = (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13;
  const std::uint32_t large = size > 0x7f800000u ? (0x7e00u | (size >> 13 & 0x3ffu)) : 0x7c00u;
  const std::uint32_t half = size < 0x38800000u ? small : (size >= 0x47800000u ? large : normal);
  return static_cast<std::uint16_t>(sign | half);
}

// A stored value as f32.
SHOAL_DEVICE float widened(const void* values, DType dtype, std::int64_t i) {
  if (dtype == DType::kF32) return static_cast<const float*>(values)[i];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(values)[i];
  return dtype == DType::kBF16 ? from_bf16(bits) : from_f16(bits);
}

// e^x.
SHOAL_DEVICE float exp(float value) {
  const float x = smaller(89.0f, larger(-105.0f, value));
  const float magic = 12582912.0f;
  const float t = fma(x, 1.44269504088896341f, magic);
  const float n = sub(t, magic);
  const float r = fma(n, 2.12194440e-4f, fma(n, -0.693359375f, x));
  float p = 1.9875691500e-4f;
  p = fma(p, r, 1.3981999507e-3f);
  p = fma(p, r, 8.3334519073e-3f);
  p = fma(p, r, 4.1665795894e-2f);
  p = fma(p, r, 1.6666665459e-1f);
  p = fma(p, r, 5.0000001201e-1f);
  p = add(fma(p, mul(r, r), r), 1.0f);
  // Times 2^k in two steps.
  const auto k = static_cast<std::int32_t>(bits_of(t) - 0x4b400000u);
  const auto half = static_cast<std::uint32_t>(k >> 1);
  const float low = float_of((half + 127u) << 23);
  const float high = float_of((static_cast<std::uint32_t>(k) - half + 127u) << 23);
  return mul(mul(p, low), high);
}

SHOAL_DEVICE float silu_mul(float gate, float up) {
  return mul(div(gate, add(1.0f, exp(sub(0.0f, gate)))), up);
}

// To an integer, half to even, within [least, most].
SHOAL_DEVICE float round_in(float v, float least, float most) {
  const float magic = 12582912.0f;
  return sub(add(larger(smaller(v, most), least), magic), magic);
}

struct Int8Scale {
  float scale, inverse;
};
// Of values whose largest magnitude is `largest`; `finite`: their sum times zero.
SHOAL_DEVICE Int8Scale int8_scale(float largest, float finite) {
  if (finite != 0.0f) return {not_a_number(), 0.0f};
  const float scale = div(largest, 127.0f);
  if (!(scale >= 0x1p-126f)) return {0.0f, 0.0f};
  return {scale, div(1.0f, scale)};
}

// The fold of 16 partial sums, one in each lane of half a warp: by 8, 4, 2, 1. All 16 lanes get it.
SHOAL_DEVICE float fold_16(float partial) {
  partial = add(partial, shuffle_xor(partial, 8));
  partial = add(partial, shuffle_xor(partial, 4));
  partial = add(partial, shuffle_xor(partial, 2));
  return add(partial, shuffle_xor(partial, 1));
}
// The same of one thread's own.
SHOAL_DEVICE float fold_16(float (&partial)[16]) {
  SHOAL_DEVICE_UNROLL
  for (int step = 8; step >= 1; step /= 2) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < 8; ++i) {
      if (i < step) partial[i] = add(partial[i], partial[i + step]);
    }
  }
  return partial[0];
}

}  // namespace shoal::kernels::cuda
