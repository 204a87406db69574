// SPDX-License-Identifier: Apache-2.0
// q8, q4 and q4s: the bits of the plain reference on every instruction set, for any number of rows
// and threads; what the formats lose; what activations that are not finite become.
#include "tests/reference/portable.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/portable.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/number.h"

namespace shoal::kernels {
namespace {

struct Format {
  WeightFormat ours;
  reference::Portable reference;
  const char* name;
};
constexpr std::array<Format, 3> kFormats = {
    {{WeightFormat::kQ8, reference::Portable::kQ8, "q8"},
     {WeightFormat::kQ4, reference::Portable::kQ4, "q4"},
     {WeightFormat::kQ4S, reference::Portable::kQ4S, "q4s"}}};

struct Shape {
  std::int64_t rows, k, outputs;
};
const std::vector<Shape> kShapes = {{1, 1, 1},     {3, 31, 5},     {2, 32, 16},    {5, 33, 17},
                                    {13, 96, 40},  {4, 511, 16},   {1, 512, 33},   {9, 513, 15},
                                    {6, 1000, 7},  {17, 1376, 48}, {40, 544, 100}, {65, 515, 33},
                                    {130, 96, 270}};

std::vector<float> widened(const WeightView& weight) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < weight.rows * weight.cols; ++i) {
    values.push_back(static_cast<float>(reference::weight_at(weight, i)));
  }
  return values;
}

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

TEST(Portable, ProductsHaveTheBitsOfTheReference) {
  Random random(7);
  for (const Format& format : kFormats) {
    for (const Shape& shape : kShapes) {
      for (const DType dtype : {DType::kF32, DType::kBF16}) {
        const Weights weights(random, dtype, shape.outputs, shape.k);
        const Weights bias(random, dtype, 1, shape.outputs);
        const std::vector<float> w = widened(weights.view()), b = widened(bias.view());
        // Rows that begin at multiples of 16 bytes, and others.
        const std::int64_t gap = dtype == DType::kF32 ? 5 : 0;
        Guarded x(random.normals(shape.rows * shape.k), shape.rows, shape.k, gap);
        const std::vector<float> before = random.normals(shape.rows * shape.outputs);
        std::vector<std::vector<reference::Group>> groups;
        for (std::int64_t n = 0; n < shape.outputs; ++n) {
          groups.push_back(
              reference::quantize_output(format.reference, w.data() + n * shape.k, shape.k));
        }
        std::vector<float> expected;
        for (std::int64_t r = 0; r < shape.rows; ++r) {
          for (std::int64_t n = 0; n < shape.outputs; ++n) {
            const float value = reference::product(format.reference, x.view().row(r),
                                                   groups[static_cast<std::size_t>(n)], shape.k);
            expected.push_back(before[expected.size()] + (value + b[n]));
          }
        }
        for (const auto& [name, executor] : all_executors()) {
          const auto packed = pack_linear(*executor, weights.view(), bias.view(), format.ours);
          ASSERT_TRUE(packed.has_value());
          Guarded out(before, shape.rows, shape.outputs);
          linear(*executor, x.view(*executor), packed->weight(), out.view(*executor),
                 /*accumulate=*/true);
          EXPECT_TRUE(out.intact());
          const std::vector<float> got = out.content();
          for (std::size_t i = 0; i < got.size(); ++i) {
            ASSERT_TRUE(same_bits(got[i], expected[i]))
                << format.name << " [" << shape.rows << ", " << shape.k << "] x " << shape.outputs
                << " on " << name << ": output " << i << " is " << got[i] << ", not "
                << expected[i];
          }
        }
      }
    }
  }
}

// Weights that others quantized, in groups of 32, 64 and 128: the products of the reference, whose
// groups of 32 repeat their scales.
TEST(Portable, WhatOthersQuantizedIsNotRoundedAgain) {
  Random random(21);
  for (const Format& format : kFormats) {
    const int least = format.ours == WeightFormat::kQ8   ? -127
                      : format.ours == WeightFormat::kQ4 ? 0
                                                         : -8;
    const int most = format.ours == WeightFormat::kQ8   ? 127
                     : format.ours == WeightFormat::kQ4 ? 15
                                                        : 7;
    for (const std::int64_t group : {32, 64, 128}) {
      for (const Shape& shape : {Shape{1, 128, 16}, {3, 300, 21}, {7, 1'090, 40}}) {
        const std::int64_t groups = (shape.k + group - 1) / group;
        std::vector<std::int8_t> q(static_cast<std::size_t>(shape.outputs * shape.k));
        for (std::int8_t& value : q)
          value = static_cast<std::int8_t>(least + random.below(most - least + 1));
        const Weights scales(random, DType::kF16, shape.outputs, groups);
        const Weights minima(random, DType::kF16, shape.outputs, groups);
        const std::vector<float> s = widened(scales.view()), m = widened(minima.view());
        std::vector<std::vector<reference::Group>> expected;
        for (std::int64_t n = 0; n < shape.outputs; ++n) {
          auto& output = expected.emplace_back();
          for (std::int64_t k = 0; k < shape.k; k += 32) {
            const auto of = static_cast<std::size_t>(n * groups + k / group);
            reference::Group& one = output.emplace_back();
            one.scale = s[of];
            one.least = format.ours == WeightFormat::kQ4 ? m[of] : 0;
            for (std::int64_t c = 0; c < std::min<std::int64_t>(32, shape.k - k); ++c) {
              one.q[static_cast<std::size_t>(c)] = q[static_cast<std::size_t>(n * shape.k + k + c)];
            }
          }
        }
        Guarded x(random.normals(shape.rows * shape.k), shape.rows, shape.k);
        QuantizedWeight weight;
        weight.format = format.ours;
        weight.rows = shape.outputs;
        weight.cols = shape.k;
        weight.group = group;
        weight.values = q.data();
        weight.scales = static_cast<const std::uint16_t*>(scales.view().data);
        if (format.ours == WeightFormat::kQ4) {
          weight.minima = static_cast<const std::uint16_t*>(minima.view().data);
        }
        for (const auto& [name, executor] : all_executors()) {
          const auto packed = pack_quantized(*executor, weight, {});
          ASSERT_TRUE(packed.has_value());
          Guarded out(shape.rows, shape.outputs);
          linear(*executor, x.view(*executor), packed->weight(), out.view(*executor));
          EXPECT_TRUE(out.intact());
          const std::vector<float> got = out.content();
          for (std::int64_t r = 0; r < shape.rows; ++r) {
            for (std::int64_t n = 0; n < shape.outputs; ++n) {
              const float value =
                  reference::product(format.reference, x.view().row(r),
                                     expected[static_cast<std::size_t>(n)], shape.k);
              ASSERT_TRUE(same_bits(got[static_cast<std::size_t>(r * shape.outputs + n)], value))
                  << format.name << " in groups of " << group << " on " << name << ": row " << r
                  << ", output " << n;
            }
          }
        }
      }
    }
  }
}

TEST(Portable, ARowIsTheSameAloneAndInABatch) {
  Random random(8);
  constexpr std::int64_t kRows = 37, kK = 700, kOutputs = 90;
  const Weights weights(random, DType::kBF16, kOutputs, kK);
  Guarded x(random.normals(kRows * kK), kRows, kK);
  for (const Format& format : kFormats) {
    for (const auto& [name, executor] : all_executors()) {
      const auto packed = pack_linear(*executor, weights.view(), {}, format.ours);
      ASSERT_TRUE(packed.has_value());
      Guarded together(kRows, kOutputs);
      const MatrixView all = x.view(*executor);
      linear(*executor, all, packed->weight(), together.view(*executor));
      for (std::int64_t r = 0; r < kRows; ++r) {
        Guarded alone(1, kOutputs);
        linear(*executor, rows_of(all, r, 1), packed->weight(), alone.view(*executor));
        for (std::int64_t n = 0; n < kOutputs; ++n) {
          ASSERT_TRUE(same_bits(alone.view().row(0)[n], together.view().row(r)[n]))
              << format.name << " on " << name << ": row " << r << ", output " << n;
        }
      }
    }
  }
}

TEST(Portable, GateUpAndProjectAreTheirProducts) {
  Random random(9);
  for (const std::int64_t rows : {1, 5, 30}) {
    constexpr std::int64_t kK = 96, kOutputs = 130;
    const Weights gate(random, DType::kF32, kOutputs, kK), up(random, DType::kF32, kOutputs, kK);
    Guarded x(random.normals(rows * kK), rows, kK);
    for (const Format& format : kFormats) {
      for (const auto& [name, executor] : all_executors()) {
        const auto gates = pack_linear(*executor, gate.view(), {}, format.ours);
        const auto ups = pack_linear(*executor, up.view(), {}, format.ours);
        ASSERT_TRUE(gates && ups);
        Guarded a(rows, kOutputs), b(rows, kOutputs), pa(rows, kOutputs), pb(rows, kOutputs);
        Guarded fused(rows, kOutputs);
        const MatrixView in = x.view(*executor);
        linear(*executor, in, gates->weight(), a.view(*executor));
        linear(*executor, in, ups->weight(), b.view(*executor));
        const Projection parts[] = {{&gates->weight(), pa.view(*executor)},
                                    {&ups->weight(), pb.view(*executor)}};
        project(*executor, in, parts);
        gate_up(*executor, in, gates->weight(), ups->weight(), fused.view(*executor));
        EXPECT_EQ(a.content(), pa.content()) << format.name << " on " << name;
        EXPECT_EQ(b.content(), pb.content()) << format.name << " on " << name;
        silu_mul(*executor, a.view(*executor), b.view(*executor), a.view(*executor));
        EXPECT_EQ(a.content(), fused.content()) << format.name << " on " << name;
        EXPECT_TRUE(fused.intact());
      }
    }
  }
}

TEST(Portable, AWeightIsAtMostHalfAStepFromItsValueWhereTheScaleDoesNotClip) {
  // With x one unit vector after another (127 of its scale), a product is a weight.
  Random random(10);
  constexpr std::int64_t kK = 64, kOutputs = 32;
  const Weights weights(random, DType::kF32, kOutputs, kK);
  const std::vector<float> w = widened(weights.view());
  Executor& executor = cpu_executor();
  std::array<double, kFormats.size()> error{};
  double size = 0;
  for (std::size_t f = 0; f < kFormats.size(); ++f) {
    const auto packed = pack_linear(executor, weights.view(), {}, kFormats[f].ours);
    ASSERT_TRUE(packed.has_value());
    for (std::int64_t k = 0; k < kK; ++k) {
      std::vector<float> unit(kK, 0.0f), out(kOutputs);
      unit[static_cast<std::size_t>(k)] = 1.0f;
      linear(executor, ConstMatrixView(unit.data(), 1, kK, kK), packed->weight(),
             F32Rows{out.data(), 1, kOutputs, kOutputs});
      for (std::int64_t n = 0; n < kOutputs; ++n) {
        const double miss =
            out[static_cast<std::size_t>(n)] - w[static_cast<std::size_t>(n * kK + k)];
        error[f] += miss * miss;
        if (f == 0) size += std::pow(w[static_cast<std::size_t>(n * kK + k)], 2);
      }
    }
  }
  // A uniform error of one step has a variance of step^2 / 12. A group of 32 normal values reaches
  // to 2.7 standard deviations or less: steps of at most 2.7 / 127 and 5.4 / 15 of one.
  EXPECT_LT(error[0] / size, std::pow(2.7 / 127, 2) / 12);
  EXPECT_LT(error[1] / size, std::pow(5.4 / 15, 2) / 12);
  EXPECT_LT(error[2] / size,
            std::pow(5.4 / 15, 2) / 12 * 1.3);  // 16 steps around 0: one side has less
  EXPECT_LT(error[0], error[1]);
  EXPECT_LT(error[1], error[2]);
}

TEST(Portable, WhatIsNotFiniteStaysSo) {
  Random random(11);
  constexpr std::int64_t kK = 70, kOutputs = 20;
  const Weights weights(random, DType::kF32, kOutputs, kK);
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::int64_t at : {0, 40, 69}) {
      std::vector<float> x = random.normals(kK);
      x[static_cast<std::size_t>(at)] = bad;
      for (const auto& [name, executor] : all_executors()) {
        const auto packed = pack_linear(*executor, weights.view(), {}, WeightFormat::kQ4);
        ASSERT_TRUE(packed.has_value());
        Input in(x, 1, kK);
        Guarded out(1, kOutputs);
        linear(*executor, in.view(*executor), packed->weight(), out.view(*executor));
        for (const float value : out.content()) EXPECT_FALSE(std::isfinite(value)) << name;
      }
    }
  }
}

TEST(Portable, PackedBytesAreTheSameEverywhere) {
  Random random(12);
  const Weights weights(random, DType::kF16, 50, 170);
  for (const Format& format : kFormats) {
    std::string expected;
    for (const auto& [name, executor] : all_executors()) {
      const auto packed = pack_linear(*executor, weights.view(), {}, format.ours);
      ASSERT_TRUE(packed.has_value());
      std::string bytes(packed_bytes(format.ours, 50, 170), '\0');
      executor->download(bytes.data(), packed->weight().values, bytes.size());
      executor->synchronize();
      if (expected.empty()) expected = bytes;
      EXPECT_EQ(bytes == expected, true) << format.name << " on " << name;
      EXPECT_EQ(packed->weight().bytes(), bytes.size());
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
