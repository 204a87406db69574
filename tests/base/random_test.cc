// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <gtest/gtest.h>

namespace shoal::base {
namespace {

// Held fixed so that a seed in a bug report, or in a user's notes, keeps its meaning.
TEST(Random, KnownValues) {
  Random random(0);  // xoshiro256** over splitmix64(0)
  EXPECT_EQ(random.next(), 0x99ec5f36cb75f2b4u);
  EXPECT_EQ(random.next(), 0xbf6e1f784956452au);
  EXPECT_EQ(random.next(), 0x1a5f849d4933e6e0u);
}

TEST(Random, UniformValuesLieInTheUnitInterval) {
  Random random(7);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = random.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 5 * 0.2887 / 100);  // five standard errors
}

}  // namespace
}  // namespace shoal::base
