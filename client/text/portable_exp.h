// SPDX-License-Identifier: Apache-2.0
// exp(x) for x <= 0 from IEEE additions and multiplications alone, so that every machine gets the
// same bits; the C library's may differ in the last one between processors, and a sampled token
// with it. Relative error below 4.5e-16. Without a division or a branch, since whoever draws from a
// whole vocabulary asks for as many: calls that follow each other overlap.
#pragma once

#include <bit>
#include <cstdint>

namespace shoal::client {

inline double portable_exp(double x) {
  // x = k ln 2 + r with |r| <= ln 2 / 2. ln 2 in two parts: the first has 32 bits, so k * kHigh is
  // exact. Behind the addition of kRound the last bits of `shifted` are those of k.
  constexpr double kLog2e = 1.4426950408889634;
  constexpr double kHigh = 6.93147180369123816490e-01, kLow = 1.90821492927058770002e-10;
  constexpr double kRound = 0x1.8p52;
  // Far below any probability that counts; also for NaN.
  const double bounded = x >= -700.0 ? x : -700.0;
  const double shifted = bounded * kLog2e + kRound;
  const double k = shifted - kRound;
  const double r = (bounded - k * kHigh) - k * kLow;
  // Taylor series by Horner's rule; the first term left out is r^14 / 14! < 5e-18.
  constexpr double kFactors[] = {1.0 / 6227020800,
                                 1.0 / 479001600,
                                 1.0 / 39916800,
                                 1.0 / 3628800,
                                 1.0 / 362880,
                                 1.0 / 40320,
                                 1.0 / 5040,
                                 1.0 / 720,
                                 1.0 / 120,
                                 1.0 / 24,
                                 1.0 / 6,
                                 1.0 / 2,
                                 1.0,
                                 1.0};
  double sum = kFactors[0];
  for (int n = 1; n < 14; ++n) sum = sum * r + kFactors[n];
  // 2^k is a normal number, and so is the product: exact.
  const double power = std::bit_cast<double>((std::bit_cast<std::uint64_t>(shifted) << 52) +
                                             (std::uint64_t{1023} << 52));
  return x >= -700.0 ? sum * power : 0.0;
}

}  // namespace shoal::client
