// SPDX-License-Identifier: Apache-2.0
// Comparisons that end the search: the worst index, expected, got, bound.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"
#include "tests/reference/number.h"

namespace shoal::kernels {

inline ::testing::AssertionResult within_bound(const std::vector<reference::Bounded>& expected,
                                               const std::vector<float>& got) {
  if (expected.size() != got.size()) {
    return ::testing::AssertionFailure() << got.size() << " values, expected " << expected.size();
  }
  std::size_t worst = 0;
  double worst_excess = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i].value);
    // NaN counts as infinitely wrong.
    const double excess = error <= expected[i].bound ? 0.0
                          : std::isnan(error)        ? std::numeric_limits<double>::infinity()
                                                     : error - expected[i].bound;
    if (excess > worst_excess) {
      worst = i;
      worst_excess = excess;
    }
  }
  if (worst_excess == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "worst at " << worst << ": expected " << expected[worst].value << ", got " << got[worst]
         << ", bound " << expected[worst].bound;
}

inline ::testing::AssertionResult bitwise_equal(const std::vector<float>& expected,
                                                const std::vector<float>& got) {
  if (expected.size() != got.size()) {
    return ::testing::AssertionFailure() << got.size() << " values, expected " << expected.size();
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    const auto want = std::bit_cast<std::uint32_t>(expected[i]);
    const auto have = std::bit_cast<std::uint32_t>(got[i]);
    if (want != have) {
      return ::testing::AssertionFailure()
             << "first difference at " << i << ": expected " << expected[i] << " (" << std::hex
             << want << "), got " << got[i] << " (" << have << ")";
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace shoal::kernels
