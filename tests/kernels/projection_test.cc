// SPDX-License-Identifier: Apache-2.0
// Coarse operators are their parts, bit for bit, however rows and outputs fall into pieces; weights
// in another format than the stored one are that format's weights.
#include "gtest/gtest.h"
#include "kernels/elementwise.h"
#include "kernels/held_weight.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/number.h"

namespace shoal::kernels {
namespace {

std::vector<float> alone(Executor& executor, const MatrixView& x, const LinearWeight& weight) {
  Guarded out(x.rows, weight.rows);
  linear(executor, x, weight, out.view(executor));
  EXPECT_TRUE(out.intact());
  return out.content();
}

TEST(Project, IsEachLayerAlone) {
  Random random(1);
  for (const std::int64_t k : {1, 33, 256}) {
    for (const std::int64_t rows : {0, 1, 3, 7, 8, 40, 100}) {
      const Weights q(random, DType::kBF16, 72, k), k_(random, DType::kF16, 9, k),
          v(random, DType::kF32, 130, k), bias(random, DType::kBF16, 1, 9);
      const auto layers = [&](Executor& executor) {
        std::vector<PackedLinear> made;
        made.push_back(as_stored(executor, q.view()));
        made.push_back(as_stored(executor, k_.view(), bias.view()));
        made.push_back(as_stored(executor, v.view()));
        return made;
      };
      Guarded x(random.normals(rows * k), rows, k);
      std::vector<std::vector<float>> expected;
      for (const PackedLinear& layer : layers(cpu_executor())) {
        expected.push_back(alone(cpu_executor(), x.view(), layer.weight()));
      }
      for (const auto& [name, executor] : all_executors()) {
        SCOPED_TRACE(testing::Message() << name << " rows " << rows << " k " << k);
        const std::vector<PackedLinear> weights = layers(*executor);
        Guarded a(rows, 72), b(rows, 9), c(rows, 130);
        const Projection parts[] = {{&weights[0].weight(), a.view(*executor)},
                                    {&weights[1].weight(), b.view(*executor)},
                                    {&weights[2].weight(), c.view(*executor)}};
        project(*executor, x.view(*executor), parts);
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
  Guarded x(random.normals(2 * 20), 2, 20);
  const std::vector<float> expected = alone(cpu_executor(), x.view(), one.view());
  for (const auto& [name, executor] : all_executors()) {
    const PackedLinear layer = as_stored(*executor, one.view());
    std::vector<Guarded> outs;
    for (int i = 0; i < 21; ++i) outs.emplace_back(2, 5);
    std::vector<Projection> parts;
    for (Guarded& out : outs) parts.push_back({&layer.weight(), out.view(*executor)});
    project(*executor, x.view(*executor), parts);
    project(*executor, x.view(*executor), {});
    for (Guarded& out : outs) EXPECT_TRUE(bitwise_equal(expected, out.content())) << name;
  }
}

TEST(GateUp, IsTwoLayersAndTheirProduct) {
  Random random(3);
  for (const auto& [k, n] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {40, 65}, {300, 1700}}) {
    for (const std::int64_t rows : {0, 1, 2, 7, 8, 9, 100}) {
      if (n > 1000 && rows > 9) continue;
      const Weights gate(random, DType::kBF16, n, k), up(random, DType::kF16, n, k);
      const Weights gate_bias(random, DType::kF32, 1, n), up_bias(random, DType::kF16, 1, n);
      for (const bool biased : {false, true}) {
        const WeightView g_bias = biased ? gate_bias.view() : WeightView{};
        const WeightView u_bias = biased ? up_bias.view() : WeightView{};
        Guarded x(random.normals(rows * k), rows, k);
        Executor& any = cpu_executor();
        Guarded a(alone(any, x.view(), {gate.view(), g_bias}), rows, n);
        Guarded b(alone(any, x.view(), {up.view(), u_bias}), rows, n);
        silu_mul(any, a.view(), b.view(), a.view());
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message() << name << " rows " << rows << " n " << n);
          const PackedLinear g = as_stored(*executor, gate.view(), g_bias);
          const PackedLinear u = as_stored(*executor, up.view(), u_bias);
          Guarded out(rows, n);
          gate_up(*executor, x.view(*executor), g.weight(), u.weight(), out.view(*executor));
          EXPECT_TRUE(out.intact());
          ASSERT_TRUE(bitwise_equal(a.content(), out.content()));
        }
      }
    }
  }
}

// Of each kind of product, and of kinds together, in every number of rows where another kernel
// takes over: the norm of x and then the product, and x stays what it is.
TEST(InputNorm, IsANormAndAProduct) {
  Random random(6);
  constexpr std::int64_t kK = 96, kOuts = 20;
  const Weights weight(random, DType::kBF16, 1, kK), wide_weight(random, DType::kF32, 1, 1000);
  struct Pair {
    WeightFormat first, second;
  };
  using enum WeightFormat;
  for (const std::int64_t k : {kK, std::int64_t{1000}}) {
    const Weights one(random, DType::kBF16, kOuts, k), two(random, DType::kF32, kOuts, k);
    const WeightView norm_weight = k == kK ? weight.view() : wide_weight.view();
    for (const Pair& formats :
         {Pair{kBF16, kF32}, {kQ8, kQ8}, {kQ4, kQ4}, {kQ4S, kQ4S}, {kQ8, kBF16}, {kF32, kQ4}}) {
      const auto pack = [&](Executor& executor, const Weights& w, WeightFormat format) {
        const WeightView view = w.view();
        return pack_linear(executor, view, {},
                           is_portable(format) ? format : stored_format(view.dtype))
            .value();
      };
      for (const std::int64_t rows : {0, 1, 2, 3, 4, 5, 8, 9, 17, 50}) {
        if (k != kK && rows > 9) continue;
        Guarded x(random.normals(rows * k), rows, k), normed(rows, k);
        const std::vector<float> data = x.content();
        Executor& any = cpu_executor();
        rms_norm(any, x.view(), norm_weight, 1e-5f, normed.view());
        const PackedLinear a = pack(any, one, formats.first), b = pack(any, two, formats.second);
        const std::vector<float> first = alone(any, normed.view(), a.weight());
        const std::vector<float> second = alone(any, normed.view(), b.weight());
        Guarded gate(first, rows, kOuts), up(second, rows, kOuts);
        silu_mul(any, gate.view(), up.view(), gate.view());
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message() << name << " rows " << rows << " k " << k << " formats "
                                          << static_cast<int>(formats.first) << ", "
                                          << static_cast<int>(formats.second));
          const PackedLinear p = pack(*executor, one, formats.first);
          const PackedLinear q = pack(*executor, two, formats.second);
          const HeldWeight held = hold_weight(*executor, norm_weight).value();
          Guarded room(rows, k), out(rows, kOuts), out_two(rows, kOuts), gated(rows, kOuts);
          const InputNorm norm{held.view(), 1e-5f, room.view(*executor)};
          const MatrixView in = x.view(*executor);
          const Projection parts[] = {{&p.weight(), out.view(*executor)},
                                      {&q.weight(), out_two.view(*executor)}};
          project(*executor, in, parts, norm);
          gate_up(*executor, in, p.weight(), q.weight(), gated.view(*executor), norm);
          EXPECT_TRUE(room.intact() && out.intact() && out_two.intact() && gated.intact());
          ASSERT_TRUE(bitwise_equal(first, out.content()));
          ASSERT_TRUE(bitwise_equal(second, out_two.content()));
          ASSERT_TRUE(bitwise_equal(gate.content(), gated.content()));
          ASSERT_TRUE(bitwise_equal(data, x.content()));
        }
      }
    }
  }
}

TEST(PackLinear, StoredFormatsStayWhereTheyAreOnTheCpu) {
  Random random(4);
  Executor& executor = cpu_executor();
  for (const DType dtype : kDTypes) {
    const Weights weight(random, dtype, 7, 30), bias(random, DType::kF16, 1, 7);
    const auto packed =
        pack_linear(executor, weight.view(), bias.view(), stored_format(dtype)).value();
    EXPECT_EQ(packed.weight().values, weight.view().data);
    EXPECT_EQ(packed.owned_bytes(), 0u);
    EXPECT_EQ(packed.weight().bytes(), weight.view().bytes() + 14);
  }
}

// GPUs keep the stored format, or a portable one.
TEST(PackLinear, OtherFormatsAreWidenedExactlyOrRoundedOnTheCpu) {
  Random random(5);
  for (const DType from : kDTypes) {
    const Weights weight(random, from, 11, 37), bias(random, DType::kBF16, 1, 11);
    Guarded x(random.normals(9 * 37), 9, 37);
    for (const DType to : kDTypes) {
      for (const auto& [name, executor] : all_executors()) {
        if (executor->device() != Device::kCpu) continue;
        SCOPED_TRACE(testing::Message() << name << dtype_name(from) << " " << dtype_name(to));
        const auto packed =
            pack_linear(*executor, weight.view(), bias.view(), stored_format(to)).value();
        const WeightView view{packed.weight().values, to, 11, 37};
        for (std::int64_t i = 0; i < 11 * 37; ++i) {
          const double stored = reference::weight_at(weight.view(), i);
          const double epsilon =
              to == DType::kF32 ? 0 : std::ldexp(1.0, to == DType::kBF16 ? -8 : -11);
          ASSERT_NEAR(reference::weight_at(view, i), stored,
                      epsilon * std::abs(stored) + (epsilon > 0 ? 0x1p-25 : 0));
        }
        EXPECT_TRUE(bitwise_equal(alone(*executor, x.view(), {view, bias.view()}),
                                  alone(*executor, x.view(), packed.weight())));
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
