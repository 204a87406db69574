// SPDX-License-Identifier: Apache-2.0
// y = b + sum over k of x[k] w[k], in double.
#pragma once

#include <cmath>
#include <cstdint>

#include "tests/reference/number.h"

namespace shoal::reference {

// chain: the longest run of roundings that one product goes through. Higham, Accuracy and
// Stability, section 3.1.
inline Bounded linear_at(const float* x, const kernels::WeightView& weight, std::int64_t n,
                         double bias, std::int64_t chain) {
  double sum = bias, magnitude = std::abs(bias);
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    const double product = static_cast<double>(x[k]) * weight_at(weight, n * weight.cols + k);
    sum += product;
    magnitude += std::abs(product);
  }
  return {sum, static_cast<double>(chain) * kRounding * 1.001 * magnitude};
}

}  // namespace shoal::reference
