// SPDX-License-Identifier: Apache-2.0
#include "kernels/rms_norm.h"

#include "gtest/gtest.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/rms_norm.h"

namespace shoal::kernels {
namespace {

constexpr float kEps = 1e-5f;

TEST(RmsNorm, StaysWithinTheBoundAndIsOneResultEverywhere) {
  Random random(1);
  for (const DType dtype : kDTypes) {
    for (const std::int64_t cols : kSizes) {
      const std::int64_t rows = 100;
      std::vector<float> data = random.normals(rows * cols);
      for (std::int64_t i = 0; i < cols; ++i) data[static_cast<std::size_t>(i)] *= 1e-4f;
      Guarded x(data, rows, cols);
      const Weights weight(random, dtype, 1, cols);
      std::vector<reference::Bounded> expected;
      for (std::int64_t r = 0; r < rows; ++r) {
        const auto row = reference::rms_norm(x.view().row(r), weight.view(), kEps);
        expected.insert(expected.end(), row.begin(), row.end());
      }
      std::vector<float> first;
      for (const auto& [name, executor] : all_executors()) {
        SCOPED_TRACE(testing::Message() << name << " " << dtype_name(dtype) << " " << cols);
        const MatrixView all = x.view(*executor);
        const WeightView w = weight.view(*executor);
        Guarded out(rows, cols);
        rms_norm(*executor, all, w, kEps, out.view(*executor));
        EXPECT_TRUE(out.intact());
        if (first.empty()) first = out.content();
        ASSERT_TRUE(within_bound(expected, out.content()));
        ASSERT_TRUE(bitwise_equal(first, out.content()));
        // In place, and one row alone.
        Guarded same(data, rows, cols);
        rms_norm(*executor, same.view(*executor), w, kEps, same.view(*executor));
        EXPECT_TRUE(same.intact());
        ASSERT_TRUE(bitwise_equal(first, same.content()));
        Guarded alone(1, cols);
        rms_norm(*executor, rows_of(all, 57, 1), w, kEps, alone.view(*executor));
        ASSERT_TRUE(
            bitwise_equal({first.begin() + 57 * cols, first.begin() + 58 * cols}, alone.content()));
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
