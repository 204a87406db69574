// SPDX-License-Identifier: Apache-2.0
// Products on float tensor cores: the bits that kernels/mma.h promises, by the rule of the device's
// kind, whichever kernel makes them and whatever else is computed beside them; and within a bound
// of what they would be without rounding.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/half.h"
#include "gtest/gtest.h"
#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/emulator/mma.h"
#include "kernels/cuda/executor.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/mma.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/mma.h"

namespace shoal::kernels {
namespace {

using cuda::emulator::MmaRule;

std::vector<NamedExecutor const*> executors_with_mma() {
  std::vector<NamedExecutor const*> some;
  for (const NamedExecutor& each : all_executors()) {
    if (each.executor->mma() != MmaKind::kNone) some.push_back(&each);
  }
  EXPECT_FALSE(some.empty());
  return some;
}

PackedLinear for_mma(Executor& executor, const WeightView& weight, const WeightView& bias = {}) {
  return pack_linear(executor, weight, bias,
                     weight.dtype == DType::kBF16 ? WeightFormat::kMmaBF16 : WeightFormat::kMmaF16)
      .value();
}

std::vector<float> product(Executor& executor, const ConstMatrixView& x,
                           const PackedLinear& layer) {
  Guarded out(x.rows, layer.weight().rows);
  linear(executor, x, layer.weight(), out.view(executor));
  EXPECT_TRUE(out.intact());
  return out.content();
}

// kernels/mma.h, restated. A row of x as it is multiplied:
struct Rounded {
  std::vector<std::uint16_t> values;
  float scale = 1;  // of the result
};
Rounded rounded(const float* x, std::int64_t cols, DType type) {
  Rounded row;
  float up = 1;
  if (type == DType::kF16) {
    int field = 15;
    for (std::int64_t k = 0; k < cols; ++k) {
      field = std::max(field, static_cast<int>(std::bit_cast<std::uint32_t>(x[k]) >> 23 & 255));
    }
    up = std::ldexp(1.0f, 141 - field);
    row.scale = std::ldexp(1.0f, field - 141);
  }
  for (std::int64_t k = 0; k < cols; ++k) {
    row.values.push_back(type == DType::kF16 ? base::to_f16(x[k] * up) : base::to_bf16(x[k]));
  }
  return row;
}
// Such a row and an output.
float law_at(MmaRule rule, DType type, const Rounded& x, const std::uint16_t* w) {
  constexpr std::array<std::size_t, 16> kPlaces = {0, 1, 8,  9,  2, 3, 10, 11,
                                                   4, 5, 12, 13, 6, 7, 14, 15};
  const auto cols = static_cast<std::int64_t>(x.values.size());
  float value = 0;
  for (std::int64_t segment = 0; segment < cols; segment += 512) {
    float acc = 0;
    const std::int64_t end = std::min(segment + 512, (cols + 63) / 64 * 64);
    for (std::int64_t step = segment; step < end; step += 16) {
      std::uint16_t a[16] = {}, b[16] = {};
      for (std::int64_t i = 0; i < 16 && step + i < cols; ++i) {
        a[kPlaces[static_cast<std::size_t>(i)]] = w[step + i];
        b[kPlaces[static_cast<std::size_t>(i)]] = x.values[static_cast<std::size_t>(step + i)];
      }
      acc = type == DType::kF16 ? cuda::emulator::multiply_f16(rule, a, b, acc)
                                : cuda::emulator::multiply_bf16(rule, a, b, acc);
    }
    value = segment == 0 ? acc : value + acc;
  }
  return type == DType::kF16 ? value * x.scale : value;
}
MmaRule rule_of(const Executor& executor) {
  return executor.mma() == MmaKind::kMma9 ? MmaRule::kHopper : MmaRule::kAmpere;
}
std::vector<float> by_law(MmaRule rule, const F32Rows& x, const WeightView& weight) {
  std::vector<float> out;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    const Rounded row = rounded(x.row(r), weight.cols, weight.dtype);
    for (std::int64_t n = 0; n < weight.rows; ++n) {
      out.push_back(law_at(rule, weight.dtype, row,
                           static_cast<const std::uint16_t*>(weight.data) + n * weight.cols));
    }
  }
  return out;
}

// Rows, outputs and inputs at the edges of tiles, runs, segments and kernels.
struct Sizes {
  std::int64_t rows, outputs, inputs;
};
std::vector<Sizes> sizes() {
  return in_sweep<std::vector<Sizes>>(
      {{1, 1, 1},
       {1, 16, 64},
       {1, 17, 65},
       {2, 40, 600},
       {5, 33, 1100},
       {8, 16, 512},
       {8, 300, 63},
       {9, 130, 16},
       {16, 18, 513},
       {17, 64, 130},
       {32, 70, 576},
       {33, 65, 100},
       {64, 64, 64},
       {70, 15, 520},
       {129, 30, 33},
       {130, 520, 70},
       {3, 20, 5000}},
      {{1, 17, 65}, {5, 33, 600}, {9, 18, 130}, {17, 20, 33}, {33, 65, 100}, {130, 260, 33}});
}

const std::vector<DType> kTypes = {DType::kBF16, DType::kF16};

TEST(MmaLinear, IsTheLawBitForBit) {
  for (std::uint64_t seed = 1; seed <= in_sweep<std::uint64_t>(3, 2); ++seed) {
    Random random(seed);
    const DType type = kTypes[seed % 2];
    for (const auto& [rows, outputs, inputs] : sizes()) {
      // Rows that begin at multiples of 16 bytes, and others.
      const std::int64_t gap = random.below(2) == 0 ? (4 - inputs % 4) % 4 : 5;
      std::vector<float> data = random.normals(rows * inputs);
      // Rows of any size: of no size, too.
      for (std::int64_t r = 0; r < rows; ++r) {
        const float size = std::ldexp(1.0f, static_cast<int>(random.below(200)) - 110);
        for (std::int64_t k = 0; k < inputs; ++k) {
          data[static_cast<std::size_t>(r * inputs + k)] *= r % 7 == 6 ? 0.0f : size;
        }
      }
      Guarded x(data, rows, inputs, gap);
      const Weights weight(random, type, outputs, inputs);
      std::array<std::vector<float>, 2> expected;
      for (const NamedExecutor* each : executors_with_mma()) {
        SCOPED_TRACE(testing::Message()
                     << each->name << " " << dtype_name(type) << " seed " << seed << " rows "
                     << rows << " outputs " << outputs << " inputs " << inputs);
        const MmaRule rule = rule_of(*each->executor);
        std::vector<float>& law = expected[rule == MmaRule::kHopper];
        if (law.empty()) law = by_law(rule, x.view(), weight.view());
        const PackedLinear layer = for_mma(*each->executor, weight.view());
        EXPECT_EQ(layer.weight().bytes(), mma_bytes(outputs, inputs));
        ASSERT_TRUE(bitwise_equal(law, product(*each->executor, x.view(*each->executor), layer)));
      }
    }
  }
}

// Of which scratch has room for 48 at a time.
TEST(MmaLinear, TakesMoreRowsThanThereIsRoomFor) {
  Random random(10);
  const std::int64_t rows = 130, inputs = 600;
  const auto opened =
      cuda::CudaExecutor::open(cuda::emulator::module({.machine = {.mma_rule = MmaRule::kHopper},
                                                       .quantized_bytes = std::size_t{64} << 10}),
                               0);
  ASSERT_NE(opened.executor, nullptr) << opened.why;
  for (const DType type : kTypes) {
    Guarded x(random.normals(rows * inputs), rows, inputs, 0);
    const Weights weight(random, type, 3, inputs);
    const std::vector<float> law = by_law(MmaRule::kHopper, x.view(), weight.view());
    const PackedLinear layer = for_mma(*opened.executor, weight.view());
    EXPECT_TRUE(bitwise_equal(law, product(*opened.executor, x.view(*opened.executor), layer)));
  }
}

// The law is of exact sums where nothing is cut, so this is about the rounding of x and of sums.
TEST(MmaLinear, StaysWithinTheBoundOfWhatIsNotRounded) {
  Random random(4);
  int number = 0;
  for (const auto& [rows, outputs, inputs] : sizes()) {
    Guarded x(random.normals(rows * inputs), rows, inputs);
    const Weights weight(random, kTypes[static_cast<std::size_t>(++number % 2)], outputs, inputs);
    for (const NamedExecutor* each : executors_with_mma()) {
      std::vector<reference::Bounded> expected;
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t n = 0; n < outputs; ++n) {
          expected.push_back(reference::mma_at(
              x.view().row(r), weight.view(), n, 0,
              each->executor->mma() == MmaKind::kMma9 ? reference::kMma9Sum : reference::kMma8Sum));
        }
      }
      SCOPED_TRACE(testing::Message() << each->name << " rows " << rows << " outputs " << outputs
                                      << " inputs " << inputs);
      ASSERT_TRUE(within_bound(expected, product(*each->executor, x.view(*each->executor),
                                                 for_mma(*each->executor, weight.view()))));
    }
  }
}

// Kinds round differently, and a test that did not see it would see nothing.
TEST(MmaLinear, TheKindsDiffer) {
  Random random(5);
  const std::int64_t inputs = 2000;
  Guarded x(random.normals(8 * inputs), 8, inputs);
  const Weights weight(random, DType::kBF16, 16, inputs);
  EXPECT_FALSE(bitwise_equal(by_law(MmaRule::kAmpere, x.view(), weight.view()),
                             by_law(MmaRule::kHopper, x.view(), weight.view())));
}

// Few rows by one kernel, many by others, which hold other tiles.
TEST(MmaLaw, ARowDoesNotDependOnItsBatch) {
  for (std::uint64_t seed = 6; seed < 9; ++seed) {
    Random random(seed);
    const std::int64_t rows = 131, inputs = in_sweep(560, 200), outputs = 50;
    Guarded x(random.normals(rows * inputs), rows, inputs);
    const Weights weight(random, kTypes[seed % 2], outputs, inputs);
    for (const NamedExecutor* each : executors_with_mma()) {
      Executor& executor = *each->executor;
      const PackedLinear layer = for_mma(executor, weight.view());
      const MatrixView all = x.view(executor);
      const auto in_batches = [&](std::int64_t batch, std::int64_t until) {
        std::vector<float> batched;
        for (std::int64_t r = 0; r < until; r += batch) {
          const std::vector<float> y =
              product(executor, rows_of(all, r, std::min(batch, until - r)), layer);
          batched.insert(batched.end(), y.begin(), y.end());
        }
        return batched;
      };
      const std::vector<float> together = in_batches(rows, rows);
      for (const std::int64_t batch :
           in_sweep<std::vector<std::int64_t>>({1, 7, 8, 9, 16, 17, 32, 33, 65}, {1, 9, 33})) {
        SCOPED_TRACE(testing::Message() << each->name << " seed " << seed << " batch " << batch);
        const std::int64_t until = std::min(rows, 3 * batch);
        const std::vector<float> some(together.begin(), together.begin() + until * outputs);
        ASSERT_TRUE(bitwise_equal(some, in_batches(batch, until)));
      }
    }
  }
}

// Kernels of stored and portable weights are as they were: projection_test. Here all layers are of
// this kind, and one is not.
TEST(MmaProject, IsEachLayerAloneWithBiasAndSum) {
  Random random(7);
  for (const std::int64_t rows :
       in_sweep<std::vector<std::int64_t>>({1, 3, 8, 16, 30, 50, 140}, {3, 16, 50})) {
    const std::int64_t inputs = 97;
    const Weights q(random, DType::kBF16, 72, inputs), k(random, DType::kF16, 9, inputs),
        v(random, DType::kBF16, 130, inputs), f32(random, DType::kF32, 11, inputs);
    const Weights bias(random, DType::kF32, 1, 9);
    Guarded x(random.normals(rows * inputs), rows, inputs);
    const std::vector<float> residual = random.normals(rows * 9);
    for (const NamedExecutor* each : executors_with_mma()) {
      SCOPED_TRACE(testing::Message() << each->name << " rows " << rows);
      Executor& executor = *each->executor;
      const MmaRule rule = rule_of(executor);
      const PackedLinear layers[] = {for_mma(executor, q.view()),
                                     for_mma(executor, k.view(), bias.view()),
                                     for_mma(executor, v.view()), as_stored(executor, f32.view())};
      std::vector<float> with_bias = by_law(rule, x.view(), k.view());
      for (std::size_t i = 0; i < with_bias.size(); ++i) {
        with_bias[i] += static_cast<const float*>(bias.view().data)[i % 9];
      }
      Guarded a(rows, 72), b(rows, 9), c(rows, 130), d(rows, 11);
      const Projection parts[] = {{&layers[0].weight(), a.view(executor)},
                                  {&layers[1].weight(), b.view(executor)},
                                  {&layers[3].weight(), d.view(executor)},
                                  {&layers[2].weight(), c.view(executor)}};
      project(executor, x.view(executor), parts);
      EXPECT_TRUE(a.intact() && b.intact() && c.intact() && d.intact());
      EXPECT_TRUE(bitwise_equal(by_law(rule, x.view(), q.view()), a.content()));
      EXPECT_TRUE(bitwise_equal(with_bias, b.content()));
      EXPECT_TRUE(bitwise_equal(by_law(rule, x.view(), v.view()), c.content()));
      EXPECT_TRUE(bitwise_equal(product(executor, x.view(executor), layers[3]), d.content()));

      Guarded sum(residual, rows, 9);
      linear(executor, x.view(executor), layers[1].weight(), sum.view(executor), true);
      EXPECT_TRUE(sum.intact());
      for (std::size_t i = 0; i < with_bias.size(); ++i) with_bias[i] = residual[i] + with_bias[i];
      EXPECT_TRUE(bitwise_equal(with_bias, sum.content()));
    }
  }
}

TEST(MmaGateUp, IsItsParts) {
  Random random(8);
  for (const auto& [rows, outputs, inputs] :
       in_sweep<std::vector<Sizes>>({{1, 40, 130},
                                     {3, 15, 1100},
                                     {8, 17, 64},
                                     {11, 70, 520},
                                     {27, 35, 600},
                                     {40, 33, 100},
                                     {129, 280, 70}},
                                    {{3, 15, 600}, {11, 17, 64}, {27, 33, 33}, {40, 33, 64}})) {
    const DType type = kTypes[static_cast<std::size_t>(rows % 2)];
    const Weights gate(random, type, outputs, inputs), up(random, type, outputs, inputs),
        other(random, DType::kF32, outputs, inputs);
    const Weights bias(random, DType::kBF16, 1, outputs);
    Guarded x(random.normals(rows * inputs), rows, inputs);
    for (const NamedExecutor* each : executors_with_mma()) {
      Executor& executor = *each->executor;
      const PackedLinear g = for_mma(executor, gate.view(), bias.view());
      // The second is of another format.
      const PackedLinear ups[] = {for_mma(executor, up.view()), as_stored(executor, other.view())};
      for (const PackedLinear& u : ups) {
        SCOPED_TRACE(testing::Message()
                     << each->name << " rows " << rows << " outputs " << outputs << " inputs "
                     << inputs << " format " << static_cast<int>(u.weight().format));
        Guarded parts(rows, outputs), second(rows, outputs), both(rows, outputs);
        linear(executor, x.view(executor), g.weight(), parts.view(executor));
        linear(executor, x.view(executor), u.weight(), second.view(executor));
        silu_mul(executor, parts.view(executor), second.view(executor), parts.view(executor));
        gate_up(executor, x.view(executor), g.weight(), u.weight(), both.view(executor));
        EXPECT_TRUE(both.intact());
        ASSERT_TRUE(bitwise_equal(parts.content(), both.content()));
      }
    }
  }
}

// What is infinite or no number stays in its row; zeros are +0, as sums of nothing; x past the
// largest bf16 becomes infinite, and f16 has a scale.
TEST(MmaLinear, KeepsWhatIsNotFiniteInItsRow) {
  Random random(9);
  const std::int64_t inputs = 100, outputs = 20;
  for (const std::int64_t rows : {7, 12, 40}) {
    std::vector<float> data = random.normals(rows * inputs);
    const auto set = [&](std::int64_t row, float value) {
      data[static_cast<std::size_t>(row * inputs + 50)] = value;
    };
    Guarded plain(data, rows, inputs);
    set(1, std::numeric_limits<float>::quiet_NaN());
    set(3, std::numeric_limits<float>::infinity());
    set(5, std::numeric_limits<float>::max());
    for (std::int64_t i = 0; i < inputs; ++i)
      data[static_cast<std::size_t>(6 * inputs + i)] = -0.0f;
    Guarded x(data, rows, inputs);
    const DType type = rows == 12 ? DType::kF16 : DType::kBF16;
    const Weights weight(random, type, outputs, inputs);
    for (const NamedExecutor* each : executors_with_mma()) {
      SCOPED_TRACE(testing::Message() << each->name << " rows " << rows);
      Executor& executor = *each->executor;
      const PackedLinear layer = for_mma(executor, weight.view());
      const std::vector<float> law = by_law(rule_of(executor), x.view(), weight.view());
      const std::vector<float> expected = product(executor, plain.view(executor), layer);
      const std::vector<float> got = product(executor, x.view(executor), layer);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const auto row = static_cast<std::int64_t>(i) / outputs;
        if (row == 1) {
          EXPECT_TRUE(std::isnan(got[i]));
        } else if (row == 3 || (row == 5 && type == DType::kBF16)) {
          EXPECT_TRUE(std::isinf(got[i]));
        } else if (row == 5) {
          EXPECT_EQ(std::bit_cast<std::uint32_t>(got[i]), std::bit_cast<std::uint32_t>(law[i]));
        } else if (row == 6) {
          EXPECT_EQ(std::bit_cast<std::uint32_t>(got[i]), 0u);
        } else {
          EXPECT_EQ(std::bit_cast<std::uint32_t>(got[i]),
                    std::bit_cast<std::uint32_t>(expected[i]));
        }
      }
    }
  }
}

TEST(MmaDeathTest, RefusesWhatItCannotTake) {
  const auto cpu = Executor::cpu(1);
  std::vector<float> w(12);
  const auto pack = [&](Executor& executor, DType dtype) {
    return pack_linear(executor, {w.data(), dtype, 3, 4}, {}, WeightFormat::kMmaBF16).has_value();
  };
  EXPECT_EQ(cpu->mma(), MmaKind::kNone);
  EXPECT_DEATH(pack(*cpu, DType::kBF16), "bf16 for float tensor cores on cpu");
  Executor& gpu = *executors_with_mma().front()->executor;
  EXPECT_DEATH(pack(gpu, DType::kF16), "f16 for float tensor cores on cuda");
  EXPECT_DEATH(pack(gpu, DType::kF32), "f32 for float tensor cores on cuda");
}

}  // namespace
}  // namespace shoal::kernels
