// SPDX-License-Identifier: Apache-2.0
#include "kernels/finite_rows.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"

namespace shoal::kernels {
namespace {

constexpr std::uint32_t kPoison = 0xdeadbeef;

std::vector<std::uint32_t> flags_of(Executor& executor, Guarded& x, std::int64_t rows) {
  Placed<std::uint32_t> flags(std::vector<std::uint32_t>(static_cast<std::size_t>(rows), kPoison));
  finite_rows(executor, x.view(executor), flags.at(executor));
  return flags.host();
}

// In any column, of any sign and payload; rows beside it are not touched.
TEST(FiniteRows, OneValueIsEnough) {
  for (const std::int64_t cols : {1, 31, 32, 33, 100}) {
    Random random(1);
    std::vector<float> data;
    std::vector<std::uint32_t> expected;
    for (std::int64_t c = 0; c < cols; ++c) {
      for (const std::uint32_t bad : {0x7f800000u, 0xff800000u, 0x7f800001u, 0xffc00000u}) {
        for (const bool is_bad : {false, true}) {
          std::vector<float> row = random.normals(cols);
          if (is_bad) row[static_cast<std::size_t>(c)] = std::bit_cast<float>(bad);
          data.insert(data.end(), row.begin(), row.end());
          expected.push_back(is_bad ? 0 : 1);
        }
      }
    }
    const auto rows = static_cast<std::int64_t>(expected.size());
    for (const auto& [name, executor] : all_executors()) {
      Guarded x(data, rows, cols);
      EXPECT_EQ(flags_of(*executor, x, rows), expected) << name << " " << cols;
      EXPECT_TRUE(x.intact());
    }
  }
}

TEST(FiniteRows, WhatIsLargeSmallOrZeroIsFinite) {
  using Limits = std::numeric_limits<float>;
  const std::vector<float> edges = {
      Limits::max(), Limits::lowest(), Limits::denorm_min(), Limits::min(), 0.0f, -0.0f};
  const auto cols = static_cast<std::int64_t>(edges.size());
  for (const auto& [name, executor] : all_executors()) {
    Guarded x(edges, 1, cols), none(0, cols);
    EXPECT_EQ(flags_of(*executor, x, 1), std::vector<std::uint32_t>{1}) << name;
    EXPECT_TRUE(flags_of(*executor, none, 0).empty());
  }
}

}  // namespace
}  // namespace shoal::kernels
