// SPDX-License-Identifier: Apache-2.0
// Coarse operators are their parts, bit for bit, however rows and outputs fall into pieces; weights
// in another format than the stored one are that format's weights.
#include "gtest/gtest.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/number.h"

namespace shoal::kernels {
namespace {

std::vector<float> alone(Executor& executor, const MatrixView& x, const LinearWeight& weight) {
  Guarded out(x.rows, weight.rows);
  linear(executor, x, weight, out.view());
  EXPECT_TRUE(out.intact());
  return out.content();
}

TEST(Project, IsEachLayerAlone) {
  Random random(1);
  for (const std::int64_t k : {1, 33, 256}) {
    for (const std::int64_t rows : {0, 1, 3, 7, 8, 40, 100}) {
      const Weights q(random, DType::kBF16, 72, k), k_(random, DType::kF16, 9, k),
          v(random, DType::kF32, 130, k), bias(random, DType::kBF16, 1, 9);
      const LinearWeight weights[] = {q.view(), {k_.view(), bias.view()}, v.view()};
      Guarded x(random.normals(rows * k), rows, k);
      std::vector<std::vector<float>> expected;
      for (const LinearWeight& weight : weights) {
        expected.push_back(alone(*all_executors().back().executor, x.view(), weight));
      }
      for (const NamedExecutor& on : all_executors()) {
        SCOPED_TRACE(testing::Message() << on.name << " rows " << rows << " k " << k);
        Guarded a(rows, 72), b(rows, 9), c(rows, 130);
        const Projection parts[] = {
            {&weights[0], a.view()}, {&weights[1], b.view()}, {&weights[2], c.view()}};
        project(*on.executor, x.view(), parts);
        EXPECT_TRUE(a.intact() && b.intact() && c.intact());
        EXPECT_TRUE(bitwise_equal(expected[0], a.content()));
        EXPECT_TRUE(bitwise_equal(expected[1], b.content()));
        EXPECT_TRUE(bitwise_equal(expected[2], c.content()));
      }
    }
  }
}

TEST(Project, TakesAnyNumberOfLayers) {
  Random random(2);
  const Weights one(random, DType::kF32, 5, 20);
  const LinearWeight weight = one.view();
  Guarded x(random.normals(2 * 20), 2, 20);
  Executor& executor = *all_executors().back().executor;
  const std::vector<float> expected = alone(executor, x.view(), weight);
  std::vector<Guarded> outs(21, Guarded(2, 5));
  std::vector<Projection> parts;
  for (Guarded& out : outs) parts.push_back({&weight, out.view()});
  project(executor, x.view(), parts);
  project(executor, x.view(), {});
  for (Guarded& out : outs) EXPECT_TRUE(bitwise_equal(expected, out.content()));
}

TEST(GateUp, IsTwoLayersAndTheirProduct) {
  Random random(3);
  for (const auto& [k, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {40, 65}, {300, 1700}}) {
    for (const std::int64_t rows : {0, 1, 2, 7, 8, 9, 100}) {
      if (n > 1000 && rows > 9) continue;
      const Weights gate(random, DType::kBF16, n, k), up(random, DType::kF16, n, k);
      const Weights gate_bias(random, DType::kF32, 1, n), up_bias(random, DType::kF16, 1, n);
      for (const bool biased : {false, true}) {
        const LinearWeight g(gate.view(), biased ? gate_bias.view() : WeightView{});
        const LinearWeight u(up.view(), biased ? up_bias.view() : WeightView{});
        Guarded x(random.normals(rows * k), rows, k);
        Executor& any = *all_executors().back().executor;
        Guarded a(alone(any, x.view(), g), rows, n), b(alone(any, x.view(), u), rows, n);
        silu_mul(any, a.view(), b.view(), a.view());
        for (const NamedExecutor& on : all_executors()) {
          SCOPED_TRACE(testing::Message() << on.name << " rows " << rows << " n " << n);
          Guarded out(rows, n);
          gate_up(*on.executor, x.view(), g, u, out.view());
          EXPECT_TRUE(out.intact());
          ASSERT_TRUE(bitwise_equal(a.content(), out.content()));
        }
      }
    }
  }
}

TEST(PackLinear, StoredFormatsStayWhereTheyAre) {
  Random random(4);
  Executor& executor = *all_executors().front().executor;
  for (const DType dtype : kDTypes) {
    const Weights weight(random, dtype, 7, 30), bias(random, DType::kF16, 1, 7);
    const auto packed =
        pack_linear(executor, weight.view(), bias.view(), stored_format(dtype)).value();
    EXPECT_EQ(packed.weight().values, weight.view().data);
    EXPECT_EQ(packed.owned_bytes(), 0u);
    EXPECT_EQ(packed.weight().bytes(), weight.view().bytes() + 14);
  }
}

TEST(PackLinear, OtherFormatsAreWidenedExactlyOrRounded) {
  Random random(5);
  for (const DType from : kDTypes) {
    const Weights weight(random, from, 11, 37), bias(random, DType::kBF16, 1, 11);
    Guarded x(random.normals(9 * 37), 9, 37);
    for (const DType to : kDTypes) {
      for (const NamedExecutor& on : all_executors()) {
        SCOPED_TRACE(testing::Message() << on.name << dtype_name(from) << " " << dtype_name(to));
        const auto packed =
            pack_linear(*on.executor, weight.view(), bias.view(), stored_format(to)).value();
        const WeightView view{packed.weight().values, to, 11, 37};
        for (std::int64_t i = 0; i < 11 * 37; ++i) {
          const double stored = reference::weight_at(weight.view(), i);
          const double epsilon =
              to == DType::kF32 ? 0 : std::ldexp(1.0, to == DType::kBF16 ? -8 : -11);
          ASSERT_NEAR(reference::weight_at(view, i), stored,
                      epsilon * std::abs(stored) + (epsilon > 0 ? 0x1p-25 : 0));
        }
        EXPECT_TRUE(bitwise_equal(alone(*on.executor, x.view(), {view, bias.view()}),
                                  alone(*on.executor, x.view(), packed.weight())));
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
