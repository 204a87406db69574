// SPDX-License-Identifier: Apache-2.0
// silu(gate) * up, in double.
#pragma once

#include <cmath>

#include "tests/reference/number.h"

namespace shoal::reference {

inline Bounded silu_mul(double gate, double up) {
  const double value = gate / (1.0 + std::exp(-gate)) * up;
  // exp: 2 ulp = 4 roundings; sum, quotient, product one each. Below the normal range: one
  // subnormal step, times up. Where exp(-gate) leaves the range of f32 (gate < -88.72), the result
  // is a zero instead of less than 1e-36 * up.
  const double lost = gate < -88.72 ? std::abs(value) : 0;
  return {value, 7.001 * kRounding * std::abs(value) + 0x1p-148 * (1 + std::abs(up)) + lost};
}

}  // namespace shoal::reference
