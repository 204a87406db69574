// SPDX-License-Identifier: Apache-2.0
// Stored numbers as doubles, by the definition of their formats.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/tensor.h"

namespace shoal::reference {

// A sign bit, `exponent_bits`, `mantissa_bits`, as IEEE 754 defines such an interchange format.
inline double decode(std::uint32_t bits, int exponent_bits, int mantissa_bits) {
  const std::uint32_t top = (1u << exponent_bits) - 1;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const std::uint32_t exponent = (bits >> mantissa_bits) & top;
  const std::uint32_t mantissa = bits & ((1u << mantissa_bits) - 1);
  const double sign = (bits >> (exponent_bits + mantissa_bits)) & 1 ? -1.0 : 1.0;
  if (exponent == top && mantissa != 0) return std::numeric_limits<double>::quiet_NaN();
  if (exponent == top) return sign * std::numeric_limits<double>::infinity();
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1u << mantissa_bits),
                           static_cast<int>(exponent) - bias - mantissa_bits);
}

inline double weight_at(const kernels::WeightView& weight, std::int64_t i) {
  if (weight.dtype == kernels::DType::kF32) return static_cast<const float*>(weight.data)[i];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(weight.data)[i];
  return weight.dtype == kernels::DType::kBF16 ? decode(bits, 8, 7) : decode(bits, 5, 10);
}

// Half the distance of 1 to the next f32: the relative error of one rounding.
inline constexpr double kRounding = 0x1p-24;

// A value and by how much an f32 computation of it, in any order of its sums, may miss it.
struct Bounded {
  double value = 0;
  double bound = 0;
};

}  // namespace shoal::reference
