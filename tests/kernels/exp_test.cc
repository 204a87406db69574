// SPDX-License-Identifier: Apache-2.0
// The exponential behind silu and softmax.
#include <cmath>

#include "gtest/gtest.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/instruction_sets.h"

namespace shoal::kernels {
namespace {

std::vector<float> exp_of(IsaLevel level, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  cpu_kernels(level).exp(x.data(), static_cast<std::int64_t>(x.size()), y.data());
  return y;
}

TEST(Exp, IsWithinTwoUlpOfTheTruthAndTheSameForEverySet) {
  std::vector<float> x;
  for (float v = -104.5f; v < 89.5f; v += 0.00137f) x.push_back(v);
  for (float v = 1e-30f; v < 1; v *= 1.01f) x.insert(x.end(), {v, -v});
  for (int n = -150; n <= 128; ++n) {  // where the reduction changes its integer
    const auto edge = static_cast<float>((n + 0.5) * std::log(2.0));
    x.insert(x.end(), {std::nextafterf(edge, -1e9f), edge, std::nextafterf(edge, 1e9f)});
  }
  std::vector<reference::Bounded> expected;
  for (const float v : x) {
    const double truth = std::exp(static_cast<double>(v));
    if (truth > std::numeric_limits<float>::max()) {
      expected.push_back({std::numeric_limits<float>::max(), 0});  // replaced below
      continue;
    }
    const double ulp = std::ldexp(1.0, std::max(std::ilogb(truth), -126) - 23);
    expected.push_back({truth, 2 * ulp});
  }
  const std::vector<float> first = exp_of(IsaLevel::kBaseline, x);
  for (const IsaLevel level : supported_levels()) {
    SCOPED_TRACE(isa_name(level));
    std::vector<float> y = exp_of(level, x);
    EXPECT_TRUE(bitwise_equal(first, y));
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::exp(static_cast<double>(x[i])) <= std::numeric_limits<float>::max()) continue;
      EXPECT_TRUE(std::isinf(y[i])) << x[i] << " gives " << y[i];
      y[i] = std::numeric_limits<float>::max();
    }
    EXPECT_TRUE(within_bound(expected, y));
  }
}

TEST(Exp, IsExactAtTheEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {0.0f, -0.0f, -infinity, infinity, -1e30f, 1e30f, NAN};
  for (const IsaLevel level : supported_levels()) {
    SCOPED_TRACE(isa_name(level));
    std::vector<float> y = exp_of(level, x);
    EXPECT_TRUE(std::isnan(y.back()));
    y.pop_back();
    EXPECT_TRUE(bitwise_equal({1.0f, 1.0f, 0.0f, infinity, 0.0f, infinity}, y));
  }
}

}  // namespace
}  // namespace shoal::kernels
