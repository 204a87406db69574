// SPDX-License-Identifier: Apache-2.0
// bf16 and f16 (IEEE binary16) beside f32: widening is exact, narrowing rounds to nearest even, a
// NaN stays a NaN and becomes quiet, as the CPU's own instructions do it. Pure functions. Those of
// one value are always inlined and use nothing of the standard library: kernels/vec16.h says why.
#pragma once

#include <cstdint>
#include <span>

namespace shoal::base {

#define SHOAL_HALF inline __attribute__((always_inline))

SHOAL_HALF float float_of(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
SHOAL_HALF std::uint32_t bits_of(float value) { return __builtin_bit_cast(std::uint32_t, value); }

SHOAL_HALF float from_bf16(std::uint16_t bits) {
  return float_of(static_cast<std::uint32_t>(bits) << 16);
}

SHOAL_HALF std::uint16_t to_bf16(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const std::uint32_t quiet = bits >> 16 | 0x40u;
  return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

// Without a branch, so that loops over rows vectorise.
SHOAL_HALF float from_f16(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t magnitude = half & 0x7fffu;
  // Zero and subnormal: mantissa * 2^-24, exact.
  const std::uint32_t small =
      bits_of(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
  const std::uint32_t normal = (magnitude << 13) + 0x38000000u;  // exponent bias 15 to 127
  const std::uint32_t quiet = magnitude > 0x7c00u ? 0x400000u : 0u;
  const std::uint32_t special = 0x7f800000u | (magnitude << 13 & 0x7fffffu) | quiet;
  const std::uint32_t wide = magnitude < 0x400u ? small : (magnitude >= 0x7c00u ? special : normal);
  return float_of(sign | wide);
}

SHOAL_HALF std::uint16_t to_f16(float value) {
  const std::uint32_t bits = bits_of(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // Below 2^-14: adding 0.5 makes the last place 2^-24, that of a subnormal, and rounds there.
  const std::uint32_t small = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  // Else the exponent's bias changes from 127 to 15, and what is beyond the range becomes infinite.
  const std::uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
  const std::uint32_t large =
      magnitude > 0x7f800000u ? (0x7e00u | (magnitude >> 13 & 0x3ffu)) : 0x7c00u;
  const std::uint32_t half =
      magnitude < 0x38800000u ? small : (magnitude >= 0x47800000u ? large : normal);
  return static_cast<std::uint16_t>(sign | half);
}

#undef SHOAL_HALF

// Whole rows; the side of two bytes a value may lie at any address. False if a value of the result
// is not finite (the result is complete all the same).
bool encode_bf16(std::span<const float> from, void* to);
bool encode_f16(std::span<const float> from, void* to);
bool decode_bf16(const void* from, std::span<float> to);
bool decode_f16(const void* from, std::span<float> to);

}  // namespace shoal::base
