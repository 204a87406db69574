// SPDX-License-Identifier: Apache-2.0
// Root mean square norm of one row, in double.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/reference/number.h"

namespace shoal::reference {

inline std::vector<Bounded> rms_norm(const float* x, const kernels::WeightView& weight,
                                     double eps) {
  double squares = 0;
  for (std::int64_t i = 0; i < weight.cols; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double scale = 1.0 / std::sqrt(squares / static_cast<double>(weight.cols) + eps);
  // The sum's relative error is halved by the root; then root, reciprocal, and two products.
  const double chain = (static_cast<double>(weight.cols) + 2) / 2 + 5;
  std::vector<Bounded> out;
  for (std::int64_t i = 0; i < weight.cols; ++i) {
    const double value = x[i] * scale * weight_at(weight, i);
    out.push_back({value, chain * kRounding * 1.001 * std::abs(value)});
  }
  return out;
}

}  // namespace shoal::reference
