// SPDX-License-Identifier: Apache-2.0
// Rotation of one head by its position, in double: pair (i, i + head_dim / 2) as a complex number
// times e^(i angle).
#pragma once

#include <cmath>
#include <complex>
#include <cstdint>
#include <span>
#include <vector>

#include "tests/reference/number.h"

namespace shoal::reference {

inline std::vector<Bounded> rope(const float* head, std::span<const float> inverse_frequency,
                                 double position, double factor) {
  const std::size_t half = inverse_frequency.size();
  std::vector<Bounded> out(2 * half);
  for (std::size_t i = 0; i < half; ++i) {
    const std::complex<double> pair(head[i], head[half + i]);
    const std::complex<double> turned =
        pair * std::polar(factor, position * static_cast<double>(inverse_frequency[i]));
    // Two products of rounded factors and their sum: three roundings of at most |pair| each.
    const double bound = 3.001 * kRounding * std::sqrt(2.0) * std::abs(pair) * factor;
    out[i] = {turned.real(), bound};
    out[half + i] = {turned.imag(), bound};
  }
  return out;
}

}  // namespace shoal::reference
