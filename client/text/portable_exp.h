// SPDX-License-Identifier: Apache-2.0
// exp(x) for x <= 0 from IEEE additions and multiplications alone, so that every machine gets the
// same bits; the C library's may differ in the last one between processors, and a sampled token
// with it. Relative error below 4e-16.
#pragma once

#include <bit>
#include <cstdint>

namespace shoal::client {

inline double portable_exp(double x) {
  if (!(x >= -700.0)) return 0.0;  // far below any probability that counts; also for NaN
  // x = k ln 2 + r with |r| <= ln 2 / 2. ln 2 in two parts: the first has 32 bits, so k * kHigh is
  // exact.
  constexpr double kLog2e = 1.4426950408889634;
  constexpr double kHigh = 6.93147180369123816490e-01, kLow = 1.90821492927058770002e-10;
  const double wanted = x * kLog2e + 0.5;
  int whole = static_cast<int>(wanted);  // the floor, without a call of the library's
  if (whole > wanted) --whole;
  const double k = whole;
  const double r = (x - k * kHigh) - k * kLow;
  double sum =
      1.0;  // Taylor series by Horner's rule; the first term left out is r^15 / 15! < 1e-19
  for (int n = 14; n >= 1; --n) sum = 1.0 + sum * (r / n);
  // 2^k is a normal number, and so is the product: exact.
  return sum * std::bit_cast<double>(static_cast<std::uint64_t>(1023 + whole) << 52);
}

}  // namespace shoal::client
