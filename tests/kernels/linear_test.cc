// SPDX-License-Identifier: Apache-2.0
// linear: right within a bound from the data, and one result whatever else is computed beside it.
#include "kernels/linear.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"
#include "tests/reference/linear.h"

namespace shoal::kernels {
namespace {

std::vector<float> run(Executor& executor, const ConstMatrixView& x, const PackedLinear& layer) {
  Guarded out(x.rows, layer.weight().rows);
  linear(executor, x, layer.weight(), out.view(executor));
  EXPECT_TRUE(out.intact());
  return out.content();
}

// Products go through ceil(k / 16) additions of their lane, 4 of the fold, and the bias.
std::int64_t chain(std::int64_t k) { return (k + 15) / 16 + 4 + 1; }

TEST(Linear, StaysWithinTheBoundOnEverySizeAndDType) {
  Random random(1);
  for (const DType dtype : kDTypes) {
    for (const std::int64_t k : kSizes) {
      for (const std::int64_t n : kSizes) {
        if (k * n > 300'000 && (dtype != DType::kBF16 || sweeps_are_short())) continue;
        // Rows that begin at multiples of 16 bytes, and others; now and then many.
        const std::int64_t gap = dtype == DType::kBF16 ? 0 : 5;
        const bool many = k * n < 20'000 && random.below(3) == 0;
        const std::int64_t rows = 1 + random.below(many ? 150 : 20);
        Guarded x(random.normals(rows * k), rows, k, gap);
        const Weights weight(random, dtype, n, k);
        std::vector<reference::Bounded> expected;
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t i = 0; i < n; ++i) {
            expected.push_back(
                reference::linear_at(x.view().row(r), weight.view(), i, 0, chain(k)));
          }
        }
        std::vector<float> first;
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message() << name << " " << dtype_name(dtype) << " rows " << rows
                                          << " k " << k << " n " << n);
          const std::vector<float> got =
              run(*executor, x.view(*executor), as_stored(*executor, weight.view()));
          if (first.empty()) {
            first = got;
            ASSERT_TRUE(within_bound(expected, got));
          }
          ASSERT_TRUE(bitwise_equal(first, got));
        }
      }
    }
  }
}

TEST(Linear, AddsBiasInEveryDTypeAndAccumulates) {
  Random random(2);
  for (const DType dtype : kDTypes) {
    for (const std::int64_t rows : {1, 3, 8, 33}) {
      const std::int64_t k = 33, n = 37;
      Guarded x(random.normals(rows * k), rows, k);
      const Weights weight(random, DType::kBF16, n, k), bias(random, dtype, 1, n);
      const std::vector<float> residual = random.normals(rows * n);
      std::vector<reference::Bounded> expected, accumulated;
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t i = 0; i < n; ++i) {
          expected.push_back(reference::linear_at(x.view().row(r), weight.view(), i,
                                                  reference::weight_at(bias.view(), i), chain(k)));
          reference::Bounded sum = expected.back();
          sum.value += residual[static_cast<std::size_t>(r * n + i)];
          sum.bound += reference::kRounding * 1.01 * std::abs(sum.value);
          accumulated.push_back(sum);
        }
      }
      std::vector<float> first, first_sum;
      for (const auto& [name, executor] : all_executors()) {
        SCOPED_TRACE(testing::Message() << name << " " << dtype_name(dtype) << " rows " << rows);
        const PackedLinear layer = as_stored(*executor, weight.view(), bias.view());
        const std::vector<float> got = run(*executor, x.view(*executor), layer);
        EXPECT_TRUE(within_bound(expected, got));
        Guarded out(residual, rows, n);
        linear(*executor, x.view(*executor), layer.weight(), out.view(*executor), true);
        EXPECT_TRUE(out.intact());
        EXPECT_TRUE(within_bound(accumulated, out.content()));
        if (first.empty()) first = got, first_sum = out.content();
        EXPECT_TRUE(bitwise_equal(first, got));
        EXPECT_TRUE(bitwise_equal(first_sum, out.content()));
      }
    }
  }
}

// The order is a promise: 16 partial sums by fused multiply-add, folded by 8, 4, 2, 1.
TEST(Linear, ReducesInTheOrderThatIsWrittenDown) {
  Random random(3);
  for (const std::int64_t k : {1, 15, 16, 17, 287, 1000, 2500}) {
    const std::vector<float> x = random.normals(40 * k), w = random.normals(k);
    std::vector<float> expected;
    for (std::int64_t r = 0; r < 40; ++r) {
      float partial[16] = {};
      for (std::int64_t i = 0; i < k; ++i) {
        partial[i % 16] = std::fma(x[static_cast<std::size_t>(r * k + i)],
                                   w[static_cast<std::size_t>(i)], partial[i % 16]);
      }
      for (int fold = 8; fold >= 1; fold /= 2) {
        for (int j = 0; j < fold; ++j) partial[j] += partial[j + fold];
      }
      expected.push_back(partial[0]);
    }
    Guarded all(x, 40, k);
    for (const auto& [name, executor] : all_executors()) {
      SCOPED_TRACE(testing::Message() << name << " k " << k);
      const PackedLinear layer = as_stored(*executor, {w.data(), DType::kF32, 1, k});
      EXPECT_TRUE(bitwise_equal(expected, run(*executor, all.view(*executor), layer)));
    }
  }
}

// Products that vanish leave -0 in a lane. Zeros that fill K up to a multiple of 16 make +0 of it,
// in the lanes that have one; nobody fills up any further.
TEST(Linear, KeepsTheSignsOfZeros) {
  for (const std::int64_t k : {1, 15, 16, 17, 32, 112, 128, 144, 272}) {
    for (const std::int64_t rows : {1, 2, 4, 8, 60}) {
      const std::vector<float> w(static_cast<std::size_t>(3 * k), -0.001f);
      Guarded x(std::vector<float>(static_cast<std::size_t>(rows * k), 1e-43f), rows, k);
      const std::vector<float> expected(static_cast<std::size_t>(rows * 3),
                                        k % 16 == 0 ? -0.0f : 0.0f);
      for (const auto& [name, executor] : all_executors()) {
        SCOPED_TRACE(testing::Message() << name << " rows " << rows << " k " << k);
        const PackedLinear layer = as_stored(*executor, {w.data(), DType::kF32, 3, k});
        EXPECT_TRUE(bitwise_equal(expected, run(*executor, x.view(*executor), layer)));
      }
    }
  }
}

// std::fma on any bits: lane 0 of a product with K = 17 is fma(x, w, c).
TEST(Linear, RoundsEveryFusedMultiplyAddOnce) {
  Random random(4);
  constexpr std::int64_t kCases = 4000;
  const auto any = [&](bool narrow) {
    // Exponents close together make cancellations and ties; all exponents make overflow and
    // subnormals.
    const auto bits = static_cast<std::uint32_t>(random.bits());
    const std::uint32_t exponent = narrow ? 120 + bits % 16 : (bits >> 8) % 255;
    const auto mantissa =
        static_cast<std::uint32_t>(random.bits()) & (random.below(2) == 0 ? 0x7fffffu : 0x7ff800u);
    return std::bit_cast<float>((bits & 0x80000000u) | exponent << 23 | mantissa);
  };
  std::vector<float> x(17 * kCases, 0.0f), expected;
  std::vector<float> w(17, 0.0f);
  w[0] = 1.0f;
  for (const bool narrow : {true, false}) {
    w[16] = any(narrow);
    expected.clear();
    for (std::size_t i = 0; i < kCases; ++i) {
      x[17 * i] = any(narrow);
      x[17 * i + 16] = any(narrow);
      if (i % 5 == 0)
        x[17 * i] = -x[17 * i + 16] * w[16];  // what is left is the product's own rounding
      expected.push_back(std::fma(x[17 * i + 16], w[16], x[17 * i]) + 0.0f);
    }
    Guarded all(x, kCases, 17);
    for (const auto& [name, executor] : all_executors()) {
      SCOPED_TRACE(name);
      const PackedLinear layer = as_stored(*executor, {w.data(), DType::kF32, 1, 17});
      EXPECT_TRUE(bitwise_equal(expected, run(*executor, all.view(*executor), layer)));
    }
  }
}

TEST(LinearLaw, ARowDoesNotDependOnItsBatchOrThreadsOrInstructionSet) {
  Random random(5);
  for (const DType dtype : kDTypes) {
    for (const auto& [k, n] : {std::pair<std::int64_t, std::int64_t>{287, 127}, {1100, 70}}) {
      const std::int64_t rows = 131;  // two blocks of rows, and a rest
      Guarded x(random.normals(rows * k), rows, k);
      const Weights weight(random, dtype, n, k);
      const auto in_batches = [&](Executor& executor, std::int64_t batch) {
        const PackedLinear layer = as_stored(executor, weight.view());
        const MatrixView all = x.view(executor);
        std::vector<float> batched;
        for (std::int64_t r = 0; r < rows; r += batch) {
          const std::vector<float> y =
              run(executor, rows_of(all, r, std::min(batch, rows - r)), layer);
          batched.insert(batched.end(), y.begin(), y.end());
        }
        return batched;
      };
      const std::vector<float> alone = in_batches(cpu_executor(), 1);
      for (const auto& [name, executor] : all_executors()) {
        for (const std::int64_t batch : in_sweep<std::vector<std::int64_t>>(
                 {1, 2, 3, 4, 5, 7, 8, 9, 16, 32, 131}, {1, 3, 9, 131})) {
          if (batch != 131 && name.starts_with("baseline")) continue;
          SCOPED_TRACE(testing::Message()
                       << name << " " << dtype_name(dtype) << " batch " << batch << " k " << k);
          ASSERT_TRUE(bitwise_equal(alone, in_batches(*executor, batch)));
        }
      }
    }
  }
}

TEST(Linear, TakesEmptyInputs) {
  const std::vector<float> w(12, 1.0f);
  for (const auto& [name, executor] : all_executors()) {
    const ConstMatrixView none(nullptr, 0, 4, 4, DType::kF32, executor->device());
    EXPECT_TRUE(run(*executor, none, as_stored(*executor, {w.data(), DType::kF32, 3, 4})).empty());
  }
}

TEST(LinearDeathTest, RefusesWhatDoesNotFit) {
  const auto executor = Executor::cpu(1);
  std::vector<float> x(8), w(12), out(6);
  const MatrixView rows{x.data(), 2, 4, 4}, to{out.data(), 2, 3, 3};
  const auto weight = [&](std::int64_t n, std::int64_t k) {
    return LinearWeight(WeightView{w.data(), DType::kF32, n, k});
  };
  EXPECT_DEATH(linear(*executor, rows, weight(4, 3), to), "out is \\[2, 3\\], must be \\[2, 4\\]");
  EXPECT_DEATH(linear(*executor, rows, weight(3, 2), to),
               "weight is \\[3, 2\\], must be \\[3, 4\\]");
  MatrixView elsewhere = rows;
  elsewhere.device = Device::kCuda;
  EXPECT_DEATH(linear(*executor, elsewhere, weight(3, 4), to), "x lies on cuda");
  MatrixView narrow = rows;
  narrow.dtype = DType::kBF16;
  EXPECT_DEATH(linear(*executor, narrow, weight(3, 4), to), "bf16 on cpu");
}

}  // namespace
}  // namespace shoal::kernels
