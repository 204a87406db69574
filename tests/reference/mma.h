// SPDX-License-Identifier: Apache-2.0
// y = sum over k of x[k] w[k] in double, and how far a product on float tensor cores may be from it
// by its rule (kernels/mma.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tests/reference/number.h"

namespace shoal::reference {

// Of one fused sum: what it takes beside the accumulator, and the bits after the largest exponent.
struct FusedSum {
  int products;
  int fraction_bits;
  int in_a_step;  // of 16 inputs
};
inline constexpr FusedSum kMma8Sum = {8, 24, 2};
inline constexpr FusedSum kMma9Sum = {16, 25, 1};

// x is rounded to bf16, 8 bits: each product may be off by 2^-8 of itself. For f16 it is 11 bits,
// and after scaling the largest of the row is at least 2^14 and the least step 2^-24: 2^-39 of the
// largest. A fused sum cuts each
// summand after `fraction_bits` of the largest, which is at most M, the sum of all magnitudes, with
// its significand below 4, and then its result to 24 bits. At most 32 steps of a segment, then a
// rounding for each segment, scale, bias and accumulation (`more`). The sums are of rounded x: 1 +
// 2^-8.
inline Bounded mma_at(const float* x, const kernels::WeightView& weight, std::int64_t n,
                      double bias, const FusedSum& rule, int more = 0) {
  double sum = bias, magnitude = std::abs(bias);
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    const double product = static_cast<double>(x[k]) * weight_at(weight, n * weight.cols + k);
    sum += product;
    magnitude += std::abs(product);
  }
  const bool f16 = weight.dtype == kernels::DType::kF16;
  double rounding = (f16 ? 0x1p-11 : 0x1p-8) * (magnitude - std::abs(bias));
  if (f16) {
    double largest = 0, weights = 0;
    for (std::int64_t k = 0; k < weight.cols; ++k) {
      largest = std::max(largest, std::abs(static_cast<double>(x[k])));
      weights += std::abs(weight_at(weight, n * weight.cols + k));
    }
    rounding += 0x1p-39 * largest * weights;
  }
  const double steps = static_cast<double>(std::min<std::int64_t>((weight.cols + 15) / 16, 32));
  const double of_a_sum =
      (rule.products + 1) * std::ldexp(1.0, -rule.fraction_bits) + std::ldexp(1.0, -23);
  const double segments = static_cast<double>((weight.cols + 511) / 512);
  const double summing = steps * rule.in_a_step * of_a_sum + (segments + 2 + more) * kRounding;
  return {sum, rounding + 1.01 * summing * magnitude};
}

}  // namespace shoal::reference
