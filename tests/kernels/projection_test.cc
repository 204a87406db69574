// SPDX-License-Identifier: Apache-2.0
// Coarse operators are their parts, bit for bit, however rows and outputs fall into pieces; weights
// in another format than the stored one are that format's weights.
#include "gtest/gtest.h"
#include "kernels/elementwise.h"
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

// A product of rows that are normed first, of each kind and of kinds together.
struct NormedProduct {
  WeightFormat first, second;
  std::int64_t k, outputs;
  std::vector<std::int64_t> rows;
};
std::vector<NormedProduct> normed_products() {
  using enum WeightFormat;
  std::vector<NormedProduct> all;
  // Numbers of rows where another kernel takes over.
  const std::vector<std::int64_t> some = {0, 1, 2, 3, 4, 5, 8, 9, 17, 50};
  for (const WeightFormat format : {kF32, kBF16, kF16, kQ8, kQ4, kQ4S}) {
    all.push_back({format, format, 96, 20, some});
    all.push_back({format, format, 33, 7, {1, 2, 5, 50}});
    if (!sweeps_are_short()) all.push_back({format, format, 1000, 300, {1, 2, 6}});
  }
  all.push_back({kBF16, kF32, 96, 20, some});
  all.push_back({kQ8, kBF16, 96, 20, some});
  all.push_back({kF32, kQ4, 96, 20, some});
  if (sweeps_are_short()) return all;
  // Rows that shared memory has room for, and those that it has not.
  for (const WeightFormat format : {kBF16, kQ4}) {
    all.push_back({format, format, 4100, 20, {2}});
    all.push_back({format, format, 8200, 20, {1, 2}});
  }
  return all;
}

// The norm of x and then the product, and x stays what it is; in rows of whole runs of 16 bytes,
// and in others.
TEST(InputNorm, IsANormAndAProduct) {
  Random random(6);
  const auto stored = [](WeightFormat format) {
    return format == WeightFormat::kF32   ? DType::kF32
           : format == WeightFormat::kF16 ? DType::kF16
                                          : DType::kBF16;
  };
  for (const NormedProduct& p : normed_products()) {
    const Weights weight(random, p.k == 96 ? DType::kF32 : DType::kBF16, 1, p.k);
    const Weights one(random, stored(p.first), p.outputs, p.k);
    const Weights two(random, stored(p.second), p.outputs, p.k);
    const Weights bias(random, DType::kF32, 1, p.outputs);
    Executor& any = cpu_executor();
    const PackedLinear a = pack_linear(any, one.view(), bias.view(), p.first).value();
    const PackedLinear b = pack_linear(any, two.view(), {}, p.second).value();
    for (const std::int64_t rows : p.rows) {
      const std::vector<float> data = random.normals(rows * p.k);
      Guarded plain(data, rows, p.k), normed(rows, p.k);
      rms_norm(any, plain.view(), weight.view(), 1e-5f, normed.view());
      const std::vector<float> first = alone(any, normed.view(), a.weight());
      const std::vector<float> second = alone(any, normed.view(), b.weight());
      Guarded gate(first, rows, p.outputs), up(second, rows, p.outputs);
      silu_mul(any, gate.view(), up.view(), gate.view());
      for (const auto& [name, executor] : all_executors()) {
        const PackedLinear g = pack_linear(*executor, one.view(), bias.view(), p.first).value();
        const PackedLinear u = pack_linear(*executor, two.view(), {}, p.second).value();
        for (const std::int64_t gap : {5, 8}) {
          SCOPED_TRACE(testing::Message()
                       << name << " rows " << rows << " k " << p.k << " gap " << gap << " formats "
                       << static_cast<int>(p.first) << ", " << static_cast<int>(p.second));
          Guarded x(data, rows, p.k, gap), room(rows, p.k);
          Guarded out(rows, p.outputs), out_two(rows, p.outputs), gated(rows, p.outputs);
          const InputNorm norm{weight.view(*executor), 1e-5f, room.view(*executor)};
          const MatrixView in = x.view(*executor);
          const Projection parts[] = {{&g.weight(), out.view(*executor)},
                                      {&u.weight(), out_two.view(*executor)}};
          project(*executor, in, parts, norm);
          gate_up(*executor, in, g.weight(), u.weight(), gated.view(*executor), norm);
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
