// SPDX-License-Identifier: Apache-2.0
#include "kernels/elementwise.h"

#include <cmath>
#include <numeric>

#include "gtest/gtest.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/silu.h"

namespace shoal::kernels {
namespace {

TEST(SiluMul, StaysWithinTheBoundAndIsOneResultEverywhere) {
  Random random(1);
  for (const std::int64_t cols : kSizes) {
    const std::int64_t rows = 40;
    std::vector<float> gate = random.normals(rows * cols), up = random.normals(rows * cols);
    // Half of the gates range over all of exp's domain.
    for (std::size_t i = 0; i < gate.size(); i += 2) gate[i] *= 40;
    std::vector<reference::Bounded> expected;
    for (std::size_t i = 0; i < gate.size(); ++i) {
      expected.push_back(reference::silu_mul(gate[i], up[i]));
    }
    std::vector<float> first;
    for (const auto& [name, executor] : all_executors()) {
      SCOPED_TRACE(testing::Message() << name << " " << cols);
      Guarded g(gate, rows, cols, 3), u(up, rows, cols, 1), out(rows, cols);
      const MatrixView in_g = g.view(*executor), in_u = u.view(*executor);
      silu_mul(*executor, in_g, in_u, out.view(*executor));
      EXPECT_TRUE(out.intact());
      if (first.empty()) first = out.content();
      ASSERT_TRUE(within_bound(expected, out.content()));
      ASSERT_TRUE(bitwise_equal(first, out.content()));
      silu_mul(*executor, in_g, in_u, in_g);  // out may be gate
      EXPECT_TRUE(g.intact());
      ASSERT_TRUE(bitwise_equal(first, g.content()));
      Guarded again(gate, rows, cols);
      silu_mul(*executor, again.view(*executor), in_u, in_u);  // or up
      ASSERT_TRUE(bitwise_equal(first, u.content()));
    }
  }
}

// The exponential of every device is one, wherever its reduction changes its integer.
TEST(SiluMul, HasTheSameBitsOverAllOfExp) {
  std::vector<float> gate;
  for (float v = -104.5f; v < 104.5f; v += 0.00137f) gate.push_back(v);
  for (float v = 1e-40f; v < 1; v *= 1.01f) gate.insert(gate.end(), {v, -v});
  for (int n = -150; n <= 150; ++n) {
    const auto edge = static_cast<float>((n + 0.5) * std::log(2.0));
    gate.insert(gate.end(), {std::nextafterf(edge, -1e9f), edge, std::nextafterf(edge, 1e9f)});
  }
  const auto cols = static_cast<std::int64_t>(gate.size());
  std::vector<float> first;
  for (const auto& [name, executor] : all_executors()) {
    Guarded g(gate, 1, cols), u(std::vector<float>(gate.size(), 1.0f), 1, cols), out(1, cols);
    silu_mul(*executor, g.view(*executor), u.view(*executor), out.view(*executor));
    if (first.empty()) first = out.content();
    EXPECT_TRUE(bitwise_equal(first, out.content())) << name;
  }
}

TEST(SiluMul, TakesExtremesAndKeepsNaN) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> gate = {infinity, 3e38f, -3e38f, -1e-40f, 0.0f, NAN};
  const std::vector<float> up(gate.size(), 1.0f);
  for (const auto& [name, executor] : all_executors()) {
    SCOPED_TRACE(name);
    Guarded g(gate, 1, 6), u(up, 1, 6), out(1, 6);
    silu_mul(*executor, g.view(*executor), u.view(*executor), out.view(*executor));
    const std::vector<float> y = out.content();
    EXPECT_EQ(y[0], infinity);
    EXPECT_EQ(y[1], 3e38f);
    EXPECT_EQ(y[2], 0.0f);
    EXPECT_NEAR(y[3], -0.5e-40, 2e-45);
    EXPECT_EQ(y[4], 0.0f);
    EXPECT_TRUE(std::isnan(y[5]));
  }
}

// Every one of the 65536 patterns of f16 and bf16, NaN and subnormals among them, converts exactly.
TEST(Embedding, WidensEveryBf16AndF16Exactly) {
  std::vector<std::uint16_t> patterns(1 << 16);
  std::iota(patterns.begin(), patterns.end(), std::uint16_t{0});
  std::vector<std::int32_t> rows(256);
  std::iota(rows.begin(), rows.end(), 0);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const WeightView table{patterns.data(), dtype, 256, 256};
    Placed<std::uint16_t> placed(patterns);
    for (const auto& [name, executor] : all_executors()) {
      SCOPED_TRACE(testing::Message() << name << " " << dtype_name(dtype));
      Guarded out(256, 256);
      embedding(*executor, {placed.at(*executor), dtype, 256, 256, executor->device()}, rows,
                out.view(*executor));
      EXPECT_TRUE(out.intact());
      const std::vector<float> got = out.content();
      for (std::int64_t i = 0; i < 1 << 16; ++i) {
        const double expected = reference::weight_at(table, i);
        const float value = got[static_cast<std::size_t>(i)];
        if (std::isnan(expected)) {
          ASSERT_TRUE(std::isnan(value)) << i;
        } else {
          ASSERT_EQ(std::bit_cast<std::uint32_t>(static_cast<float>(expected)),
                    std::bit_cast<std::uint32_t>(value))
              << i;
        }
      }
    }
  }
}

TEST(Embedding, PicksRowsOfAnyWidth) {
  Random random(3);
  for (const DType dtype : kDTypes) {
    for (const std::int64_t cols : kSizes) {
      const Weights table(random, dtype, 9, cols);
      const std::vector<std::int32_t> ids = {8, 0, 3, 3, 7};
      std::vector<float> expected;
      for (const std::int32_t id : ids) {
        for (std::int64_t c = 0; c < cols; ++c) {
          expected.push_back(static_cast<float>(reference::weight_at(table.view(), id * cols + c)));
        }
      }
      for (const auto& [name, executor] : all_executors()) {
        SCOPED_TRACE(testing::Message() << name << " " << dtype_name(dtype) << " " << cols);
        Guarded out(5, cols);
        embedding(*executor, table.view(*executor), ids, out.view(*executor));
        EXPECT_TRUE(out.intact());
        ASSERT_TRUE(bitwise_equal(expected, out.content()));
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
