// SPDX-License-Identifier: Apache-2.0
// The references against closed forms: they judge the kernels, so they are judged first.
#include <cmath>
#include <numbers>
#include <vector>

#include "gtest/gtest.h"
#include "tests/reference/attention.h"
#include "tests/reference/linear.h"
#include "tests/reference/number.h"
#include "tests/reference/rms_norm.h"
#include "tests/reference/rope.h"
#include "tests/reference/silu.h"

namespace shoal::reference {
namespace {

kernels::WeightView f32(const std::vector<float>& v, std::int64_t rows, std::int64_t cols) {
  return {v.data(), kernels::DType::kF32, rows, cols};
}

TEST(ReferenceNumber, DecodesTheCornersOfF16AndBf16) {
  EXPECT_EQ(decode(0x3c00, 5, 10), 1.0);
  EXPECT_EQ(decode(0xc000, 5, 10), -2.0);
  EXPECT_EQ(decode(0x7bff, 5, 10), 65504.0);
  EXPECT_EQ(decode(0x0001, 5, 10), std::ldexp(1.0, -24));
  EXPECT_EQ(decode(0x0400, 5, 10), std::ldexp(1.0, -14));
  EXPECT_TRUE(std::signbit(decode(0x8000, 5, 10)));
  EXPECT_EQ(decode(0xfc00, 5, 10), -INFINITY);
  EXPECT_TRUE(std::isnan(decode(0x7e00, 5, 10)));
  EXPECT_EQ(decode(0x3f80, 8, 7), 1.0);
  EXPECT_EQ(decode(0x4049, 8, 7), 3.140625);
  EXPECT_EQ(decode(0x0001, 8, 7), std::ldexp(1.0, -133));
  for (const float x : {1.5f, -0.1f, 3e38f, 1e-40f}) {
    EXPECT_EQ(decode(std::bit_cast<std::uint32_t>(x), 8, 23), x);
  }
}

TEST(ReferenceLinear, SumsAnArithmeticSeries) {
  // 1*1 + 2*2 + ... + n*n = n (n + 1) (2n + 1) / 6
  std::vector<float> v(100);
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>(i + 1);
  const Bounded y = linear_at(v.data(), f32(v, 1, 100), 0, 0.5, 10);
  EXPECT_EQ(y.value, 338350.5);
  EXPECT_NEAR(y.bound, 10 * kRounding * 338350.5, 1e-3);
}

TEST(ReferenceRmsNorm, MakesTheMeanSquareOne) {
  const std::vector<float> x = {3, -4, 12, 5}, ones(4, 1.0f);
  double squares = 0;
  for (const Bounded& y : rms_norm(x.data(), f32(ones, 1, 4), 0)) squares += y.value * y.value;
  EXPECT_NEAR(squares / 4, 1.0, 1e-14);
  const std::vector<float> constant(4, -2.0f), weight = {1, 2, 3, 4};
  const auto y = rms_norm(constant.data(), f32(weight, 1, 4), 0);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_DOUBLE_EQ(y[i].value, -static_cast<double>(i + 1));
  const std::vector<float> zero(4, 0.0f);
  EXPECT_EQ(rms_norm(zero.data(), f32(weight, 1, 4), 1e-5)[3].value, 0.0);
}

TEST(ReferenceRope, IsARotationThatSeesOnlyRelativePositions) {
  const std::vector<float> quarter = {static_cast<float>(std::numbers::pi / 2)};
  const std::vector<float> x = {3, 5};
  const auto turned = rope(x.data(), quarter, 1, 1);
  EXPECT_NEAR(turned[0].value, -5, 1e-6);  // (a, b) by 90 degrees is (-b, a)
  EXPECT_NEAR(turned[1].value, 3, 1e-6);
  const std::vector<float> frequencies = {1.0f, 0.1f}, q = {1, 2, 3, 4}, k = {-2, 1, 0.5, 3};
  const auto dot = [&](double qp, double kp) {
    const auto a = rope(q.data(), frequencies, qp, 1), b = rope(k.data(), frequencies, kp, 1);
    double sum = 0;
    for (std::size_t i = 0; i < 4; ++i) sum += a[i].value * b[i].value;
    return sum;
  };
  EXPECT_NEAR(dot(17, 4), dot(113, 100), 1e-10);
  EXPECT_NEAR(rope(x.data(), quarter, 0, 1.5)[1].value, 7.5, 1e-14);
}

TEST(ReferenceSilu, HasItsKnownValues) {
  EXPECT_EQ(silu_mul(0, 3).value, 0);
  EXPECT_NEAR(silu_mul(std::log(3.0), 2).value, 1.5 * std::log(3.0), 1e-14);  // 1 / (1 + 1/3) * 2
  EXPECT_NEAR(silu_mul(1, 1).value - silu_mul(-1, 1).value, 1, 1e-15);  // silu(x) - silu(-x) = x
  EXPECT_EQ(silu_mul(-1000, 1).value, 0);
}

TEST(ReferenceAttention, AveragesEqualKeysAndPicksADominantOne) {
  const std::vector<float> q = {1, 0}, key = {0, 1}, strong = {100, 0};
  const std::vector<float> v1 = {1, 10}, v2 = {3, 20}, v3 = {8, 30};
  const auto mean = attention(q.data(), {key.data(), key.data(), key.data()},
                              {v1.data(), v2.data(), v3.data()}, 2, 1);
  EXPECT_NEAR(mean[0].value, 4, 1e-14);
  EXPECT_NEAR(mean[1].value, 20, 1e-13);
  const auto picked =
      attention(q.data(), {key.data(), strong.data()}, {v1.data(), v2.data()}, 2, 10);
  EXPECT_NEAR(picked[0].value, 3, 1e-14);
  // Two keys whose scores differ by ln 3 share 3 to 1.
  const std::vector<float> log3 = {static_cast<float>(std::log(3.0)), 0};
  const auto shared = attention(q.data(), {key.data(), log3.data()}, {v1.data(), v2.data()}, 2, 1);
  EXPECT_NEAR(shared[0].value, 0.25 * 1 + 0.75 * 3, 1e-7);
}

}  // namespace
}  // namespace shoal::reference
