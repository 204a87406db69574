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
      for (const NamedExecutor& on : all_executors()) {
        SCOPED_TRACE(testing::Message() << on.name << " " << dtype_name(dtype) << " " << cols);
        Guarded out(rows, cols);
        rms_norm(*on.executor, x.view(), weight.view(), kEps, out.view());
        EXPECT_TRUE(out.intact());
        if (first.empty()) first = out.content();
        ASSERT_TRUE(within_bound(expected, out.content()));
        ASSERT_TRUE(bitwise_equal(first, out.content()));
        // In place, and one row alone.
        Guarded same(data, rows, cols);
        rms_norm(*on.executor, same.view(), weight.view(), kEps, same.view());
        EXPECT_TRUE(same.intact());
        ASSERT_TRUE(bitwise_equal(first, same.content()));
        Guarded alone(1, cols);
        rms_norm(*on.executor, MatrixView{x.view().row(57), 1, cols, cols}, weight.view(), kEps,
                 alone.view());
        ASSERT_TRUE(
            bitwise_equal({first.begin() + 57 * cols, first.begin() + 58 * cols}, alone.content()));
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
