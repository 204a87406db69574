// SPDX-License-Identifier: Apache-2.0
#include "kernels/rotate_append.h"

#include <cmath>

#include "gtest/gtest.h"
#include "kernels/rms_norm.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/kernels/kv_pages.h"
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

// Rotates rows at any positions: each is a sequence of its own, without keys.
void rotate(Executor& executor, Guarded& x, std::int64_t head_dim,
            std::span<const std::int32_t> positions, const std::vector<float>& frequency,
            float factor) {
  const auto rows = static_cast<std::int64_t>(positions.size());
  StepPlan plan =
      StepPlan::make(executor, {frequency, factor}, {executor.padded_rows(rows), 0}).value();
  for (const std::int32_t position : positions) plan.add(position, 1, {});
  plan.seal(executor);
  const MatrixView q = x.view(executor, plan);
  MatrixView none = q;
  none.cols = 0;
  rotate_append(executor, {.q = q, .k = none, .v = none}, {}, {.head_dim = head_dim}, plan);
}

TEST(Rotate, StaysWithinTheBoundAndIsOneResultEverywhere) {
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

TEST(Rotate, LeavesPositionZeroAsItIs) {
  Random random(2);
  const std::vector<float> data = random.normals(3 * 64);
  for (const auto& [name, executor] : all_executors()) {
    Guarded x(data, 1, 3 * 64);
    rotate(*executor, x, 64, std::vector<std::int32_t>{0}, frequencies(64), 1.0f);
    EXPECT_TRUE(bitwise_equal(data, x.content())) << name;
  }
}

// Two sessions in one pool, the first over the end of a page.
struct Projections {
  Projections(Random& random, const Shape& shape)
      : q(random.normals(kRows * shape.heads * shape.head_dim)),
        k(random.normals(kRows * shape.kv_heads * shape.head_dim)),
        v(random.normals(kRows * shape.kv_heads * shape.head_dim)) {}
  static constexpr std::int64_t kRows = 5;
  static constexpr std::int64_t kPositions[kRows] = {30, 31, 32, 7, 8};
  static constexpr std::int32_t kIds[kRows] = {2, 2, 0, 1, 1};  // of the page that a row is kept in
  std::vector<float> q, k, v;
};

StepPlan plan_of_two(Executor& executor, const std::vector<float>& frequency) {
  StepPlan plan =
      StepPlan::make(executor, {frequency, 1.25f}, {executor.padded_rows(Projections::kRows), 3})
          .value();
  plan.add(30, 3, std::vector<std::int32_t>{2, 0});
  plan.add(7, 2, std::vector<std::int32_t>{1});
  plan.seal(executor);
  return plan;
}

// Heads normed and rotated by themselves.
std::vector<float> normed_and_rotated(const std::vector<float>& x, std::int64_t head_dim,
                                      const Weights* norm, const std::vector<float>& frequency) {
  Executor& executor = cpu_executor();
  const auto cols = static_cast<std::int64_t>(x.size()) / Projections::kRows;
  Guarded heads(x, static_cast<std::int64_t>(x.size()) / head_dim, head_dim);
  if (norm != nullptr) {
    rms_norm(executor, heads.view(), norm->view(), 1e-5f, heads.view());
  }
  Guarded rows(heads.content(), Projections::kRows, cols);
  const MatrixView view = rows.view();
  MatrixView none = view;
  none.cols = 0;
  const StepPlan plan = plan_of_two(executor, frequency);
  rotate_append(executor, {.q = view, .k = none, .v = none}, {}, {.head_dim = head_dim}, plan);
  return rows.content();
}

// Norm, rotation and pages, bit for bit; nothing is written beside them, nor of the rows that a
// device adds.
TEST(RotateAppend, IsItsParts) {
  Random random(3);
  const auto dims =
      in_sweep<std::vector<std::int64_t>>({2, 6, 32, 34, 64, 80, 96, 128, 254, 256}, {6, 34, 128});
  for (const std::int64_t head_dim : dims) {
    for (const Shape shape : {Shape{4, 2, head_dim}, Shape{3, 3, head_dim}}) {
      const Projections projected(random, shape);
      const std::vector<float> frequency = frequencies(head_dim);
      for (const DType norm_dtype : kDTypes) {
        const Weights q_norm(random, norm_dtype, 1, head_dim),
            k_norm(random, norm_dtype, 1, head_dim);
        const bool norms = norm_dtype != DType::kF32 || shape.heads == 4;
        const auto q =
            normed_and_rotated(projected.q, head_dim, norms ? &q_norm : nullptr, frequency);
        const auto k =
            normed_and_rotated(projected.k, head_dim, norms ? &k_norm : nullptr, frequency);
        for (const KvDType dtype : kKvDTypes) {
          Pages expected(shape, 3, dtype);
          for (std::int64_t r = 0; r < Projections::kRows; ++r) {
            for (std::int64_t h = 0; h < shape.kv_heads; ++h) {
              const std::int64_t at = (r * shape.kv_heads + h) * head_dim;
              expected.put(Projections::kIds[r], Side::kKeys, Projections::kPositions[r], h,
                           k.data() + at);
              expected.put(Projections::kIds[r], Side::kValues, Projections::kPositions[r], h,
                           projected.v.data() + at);
            }
          }
          for (const auto& [name, executor] : all_executors()) {
            SCOPED_TRACE(testing::Message() << name << " " << kv_dtype_name(dtype) << " x "
                                            << head_dim << (norms ? " with norms" : ""));
            const StepPlan plan = plan_of_two(*executor, frequency);
            Pages pages(shape, 3, dtype);
            Guarded q_rows(projected.q, Projections::kRows, shape.heads * head_dim);
            Guarded k_rows(projected.k, Projections::kRows, shape.kv_heads * head_dim);
            Guarded v_rows(projected.v, Projections::kRows, shape.kv_heads * head_dim);
            ProjectedRows rows{.q = q_rows.view(*executor, plan),
                               .k = k_rows.view(*executor, plan),
                               .v = v_rows.view(*executor, plan),
                               .norm_eps = 1e-5f};
            if (norms) {
              rows.q_norm = q_norm.view(*executor);
              rows.k_norm = k_norm.view(*executor);
            }
            rotate_append(*executor, rows, pages.view(*executor), pages.layout(), plan);
            ASSERT_TRUE(bitwise_equal(q, q_rows.content()));
            ASSERT_TRUE(pages.bytes() == expected.bytes());
            ASSERT_TRUE(bitwise_equal(projected.v, v_rows.content()));
            EXPECT_TRUE(q_rows.intact() && k_rows.intact() && v_rows.intact());
          }
        }
      }
    }
  }
}

// Of q, of k, or of neither.
TEST(RotateAppend, EachNormIsOfItsOwnHeads) {
  Random random(4);
  const Shape shape{2, 2, 32};
  const Projections projected(random, shape);
  const std::vector<float> frequency = frequencies(32);
  const Weights norm(random, DType::kBF16, 1, 32);
  for (const bool of_q : {false, true}) {
    const auto q = normed_and_rotated(projected.q, 32, of_q ? &norm : nullptr, frequency);
    const auto k = normed_and_rotated(projected.k, 32, of_q ? nullptr : &norm, frequency);
    for (const auto& [name, executor] : all_executors()) {
      const StepPlan plan = plan_of_two(*executor, frequency);
      Pages pages(shape, 3);
      Guarded q_rows(projected.q, Projections::kRows, 64),
          k_rows(projected.k, Projections::kRows, 64);
      Guarded v_rows(projected.v, Projections::kRows, 64);
      ProjectedRows rows{.q = q_rows.view(*executor, plan),
                         .k = k_rows.view(*executor, plan),
                         .v = v_rows.view(*executor, plan),
                         .norm_eps = 1e-5f};
      (of_q ? rows.q_norm : rows.k_norm) = norm.view(*executor);
      rotate_append(*executor, rows, pages.view(*executor), pages.layout(), plan);
      EXPECT_TRUE(bitwise_equal(q, q_rows.content())) << name;
      for (std::int64_t r = 0; r < Projections::kRows; ++r) {
        for (std::int64_t h = 0; h < 2; ++h) {
          const auto from = k.begin() + (r * 2 + h) * 32;
          EXPECT_TRUE(bitwise_equal({from, from + 32}, pages.get(Projections::kIds[r], Side::kKeys,
                                                                 Projections::kPositions[r], h)))
              << name << " row " << r;
        }
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
