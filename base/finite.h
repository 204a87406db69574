// SPDX-License-Identifier: Apache-2.0
// Whether values are finite: an exponent of all ones is an infinity or a NaN. Pure functions.
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace shoal::base {

inline bool is_finite(float value) {
  constexpr std::uint32_t kExponent = 0x7f800000u;
  return (std::bit_cast<std::uint32_t>(value) & kExponent) != kExponent;
}

// Without a branch, so that it vectorises.
inline bool all_finite(std::span<const float> values) {
  std::uint32_t bad = 0;
  for (const float value : values) bad |= static_cast<std::uint32_t>(!is_finite(value));
  return bad == 0;
}

}  // namespace shoal::base
