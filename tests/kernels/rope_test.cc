// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/rope.h"

namespace shoal::kernels {
namespace {

std::vector<float> frequencies(std::int64_t head_dim) {
  std::vector<float> v;
  for (std::int64_t i = 0; i < head_dim; i += 2) {
    v.push_back(static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / head_dim)));
  }
  return v;
}

// Rotates rows at any positions: each is a sequence of its own.
void rotate(Executor& executor, Guarded& x, std::int64_t head_dim,
            std::span<const std::int32_t> positions, const std::vector<float>& frequency,
            float factor) {
  const auto rows = static_cast<std::int64_t>(positions.size());
  StepPlan plan =
      StepPlan::make(executor, {frequency, factor}, {executor.padded_rows(rows), 0}).value();
  for (const std::int32_t position : positions) plan.add(position, 1, {});
  plan.seal(executor);
  rope(executor, x.view(executor, plan), head_dim, plan);
}

TEST(Rope, StaysWithinTheBoundAndIsOneResultEverywhere) {
  Random random(1);
  const std::vector<std::int32_t> positions = {0,      1,         31,         32, 4095,
                                               131071, 1'000'000, 2147483647, 7};
  const auto rows = static_cast<std::int64_t>(positions.size());
  for (const std::int64_t head_dim : {2, 6, 32, 34, 64, 96, 128, 254}) {
    for (const std::int64_t heads : {1, 3, 8}) {
      for (const float factor : {1.0f, 1.346f}) {
        const std::int64_t cols = heads * head_dim;
        const std::vector<float> data = random.normals(rows * cols);
        const std::vector<float> frequency = frequencies(head_dim);
        std::vector<reference::Bounded> expected;
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t h = 0; h < heads; ++h) {
            const auto head = reference::rope(data.data() + r * cols + h * head_dim, frequency,
                                              positions[static_cast<std::size_t>(r)], factor);
            expected.insert(expected.end(), head.begin(), head.end());
          }
        }
        std::vector<float> first;
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message() << name << " " << heads << " x " << head_dim);
          Guarded x(data, rows, cols);
          rotate(*executor, x, head_dim, positions, frequency, factor);
          EXPECT_TRUE(x.intact());
          if (first.empty()) first = x.content();
          ASSERT_TRUE(within_bound(expected, x.content()));
          ASSERT_TRUE(bitwise_equal(first, x.content()));
          Guarded alone({data.begin() + 4 * cols, data.begin() + 5 * cols}, 1, cols);
          rotate(*executor, alone, head_dim, std::span(positions).subspan(4, 1), frequency, factor);
          ASSERT_TRUE(
              bitwise_equal({first.begin() + 4 * cols, first.begin() + 5 * cols}, alone.content()));
        }
      }
    }
  }
}

TEST(Rope, LeavesPositionZeroAsItIs) {
  Random random(2);
  const std::vector<float> data = random.normals(3 * 64);
  for (const auto& [name, executor] : all_executors()) {
    Guarded x(data, 1, 3 * 64);
    rotate(*executor, x, 64, std::vector<std::int32_t>{0}, frequencies(64), 1.0f);
    EXPECT_TRUE(bitwise_equal(data, x.content())) << name;
  }
}

}  // namespace
}  // namespace shoal::kernels
