// SPDX-License-Identifier: Apache-2.0
// The law of keys and values in int8: its bits everywhere, how near it stays, what
// becomes of values that are tiny, huge or not finite, and the bytes that each type takes.
#include "kernels/kv_dtype.h"

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/attention.h"
#include "tests/kernels/executors.h"
#include "tests/kernels/kv_pages.h"
#include "tests/reference/kv.h"

namespace shoal::kernels {
namespace {

const std::vector<std::int64_t> kHeadDims = {1,  2,  15, 16, 17,  31,  32,  33,
                                             47, 64, 80, 96, 127, 128, 255, 256};

// Vectors that are hard to round, as the keys of consecutive positions.
std::vector<std::vector<float>> hard_vectors(Random& random, std::int64_t head_dim) {
  std::vector<std::vector<float>> all;
  const auto scaled = [&](float by) {
    std::vector<float> x = random.normals(head_dim);
    for (float& value : x) value *= by;
    all.push_back(x);
  };
  const float most = 0x1.fffffp127f;  // the last few f32 above it may read as infinity
  for (const float by : {1.0f, 1e-20f, 1e20f, 0x1p-119f, 0x1p-126f, 0x1p-140f, 1e37f, 0.0f}) {
    for (int i = 0; i < 4; ++i) scaled(by);
  }
  // Ties: steps of one, values between them.
  std::vector<float> ties;
  for (std::int64_t d = 0; d < head_dim; ++d) {
    ties.push_back(static_cast<float>(d % 254) - 126.5f);
  }
  ties.front() = 127.0f;
  all.push_back(ties);
  ties.front() = -127.0f;
  all.push_back(ties);
  for (const float edge : {most, -most, -0.0f, 127 * 0x1p-126f, 126 * 0x1p-126f}) {
    all.push_back(random.normals(head_dim));
    for (float& value : all.back()) value = std::copysign(std::min(std::abs(value), 1.0f), edge);
    for (float& value : all.back()) value *= std::abs(edge);
    all.back()[static_cast<std::size_t>(random.below(head_dim))] = edge;
  }
  return all;
}

// The keys of one kv head in i8 pages of their own, and again as its values.
Pages kept_in_i8(Executor& executor, const std::vector<std::vector<float>>& vectors) {
  const auto rows = static_cast<std::int64_t>(vectors.size());
  const auto head_dim = static_cast<std::int64_t>(vectors.front().size());
  const Shape shape{1, 1, head_dim};
  Pages pages(shape, rows / kPagePositions + 1, KvDType::kI8);
  SessionRows session{0, rows, {}};
  for (std::int64_t id = 0; id <= rows / kPagePositions; ++id) {
    session.ids.push_back(static_cast<std::int32_t>(id));
  }
  std::vector<float> keys;
  for (const std::vector<float>& x : vectors) keys.insert(keys.end(), x.begin(), x.end());
  const StepPlan plan = plan_of(executor, {session});
  Guarded k(keys, rows, head_dim), v(keys, rows, head_dim);
  append(executor, k.view(executor, plan), v.view(executor, plan), pages, plan);
  return pages;
}

std::int32_t page_of(std::size_t row) { return static_cast<std::int32_t>(row / kPagePositions); }

TEST(KvI8, KeepsTheBitsOfTheLawEverywhere) {
  Random random(11);
  for (const std::int64_t head_dim : kHeadDims) {
    auto vectors = hard_vectors(random, head_dim);
    vectors.emplace_back(head_dim, std::numeric_limits<float>::max());
    const auto rows = static_cast<std::int64_t>(vectors.size());
    Pages expected({1, 1, head_dim}, rows / kPagePositions + 1, KvDType::kI8);
    for (std::size_t r = 0; r < vectors.size(); ++r) {
      for (const Side side : {Side::kKeys, Side::kValues}) {
        expected.put(page_of(r), side, static_cast<std::int64_t>(r), 0, vectors[r].data());
      }
    }
    for (const auto& [name, executor] : all_executors()) {
      const Pages got = kept_in_i8(*executor, vectors);
      EXPECT_TRUE(got.bytes() == expected.bytes()) << name << " x " << head_dim;
    }
  }
}

TEST(KvI8, MissesByHalfAStepAtMost) {
  Random random(12);
  for (const std::int64_t head_dim : kHeadDims) {
    const auto vectors = hard_vectors(random, head_dim);
    const Pages pages = kept_in_i8(cpu_executor(), vectors);
    for (std::size_t r = 0; r < vectors.size(); ++r) {
      const std::vector<float>& x = vectors[r];
      const std::vector<float> read =
          pages.get(page_of(r), Side::kKeys, static_cast<std::int64_t>(r), 0);
      for (std::int64_t d = 0; d < head_dim; ++d) {
        const auto i = static_cast<std::size_t>(d);
        ASSERT_LE(std::abs(static_cast<double>(read[i]) - x[i]),
                  reference::kv_error(KvDType::kI8, x.data(), head_dim, d))
            << "vector " << r << ", value " << d << " of " << head_dim << ": " << x[i] << " reads "
            << read[i];
      }
    }
  }
}

// A maximum may lose a NaN, whatever lane it is in; the vectors beside it keep their own scale.
TEST(KvI8, OneValueThatIsNotFiniteMakesItsVectorNaN) {
  Random random(13);
  for (const std::int64_t head_dim : {1, 5, 16, 33, 128}) {
    std::vector<std::vector<float>> vectors;
    for (std::int64_t d = 0; d < head_dim; ++d) {
      for (const float bad : {NAN, -NAN, INFINITY, -INFINITY}) {
        vectors.push_back(random.normals(head_dim));
        vectors.push_back(random.normals(head_dim));
        vectors.back()[static_cast<std::size_t>(d)] = bad;
      }
    }
    for (const auto& [name, executor] : all_executors()) {
      const Pages pages = kept_in_i8(*executor, vectors);
      for (std::size_t r = 0; r < vectors.size(); ++r) {
        const std::vector<float> read =
            pages.get(page_of(r), Side::kKeys, static_cast<std::int64_t>(r), 0);
        const std::vector<float> expected = reference::read(
            KvDType::kI8, reference::keep_i8(vectors[r].data(), head_dim), head_dim);
        for (std::size_t d = 0; d < read.size(); ++d) {
          ASSERT_EQ(std::isnan(read[d]), r % 2 == 1) << name << " vector " << r;
          ASSERT_TRUE(r % 2 == 1 || read[d] == expected[d]) << name << " vector " << r;
        }
      }
    }
  }
}

// Whatever else is in the step or in the page.
TEST(KvI8, AVectorDependsOnItsOwnValuesOnly) {
  Random random(14);
  constexpr std::int64_t kHeadDim = 40;
  std::vector<std::vector<float>> vectors = hard_vectors(random, kHeadDim);
  for (const auto& [name, executor] : all_executors()) {
    const Pages together = kept_in_i8(*executor, vectors);
    for (std::size_t r = 0; r < vectors.size(); ++r) {
      const Pages alone = kept_in_i8(*executor, {vectors[r]});
      ASSERT_TRUE(together.get(page_of(r), Side::kKeys, static_cast<std::int64_t>(r), 0) ==
                  alone.get(0, Side::kKeys, 0, 0))
          << name << " vector " << r;
    }
  }
}

TEST(KvDType, BytesOfAPosition) {
  EXPECT_EQ(kv_position_bytes(KvDType::kF32, 8, 128), 2 * 8 * 128 * 4);
  EXPECT_EQ(kv_position_bytes(KvDType::kBF16, 8, 128), 2 * 8 * 128 * 2);
  EXPECT_EQ(kv_position_bytes(KvDType::kF16, 8, 128), 2 * 8 * 128 * 2);
  EXPECT_EQ(kv_position_bytes(KvDType::kI8, 8, 128), 2 * 8 * (128 + 4));
  EXPECT_EQ(kv_position_bytes(KvDType::kI8, 4, 32), 2 * 4 * (32 + 4));
}

// Rows of whole sixteens can be loaded aligned, and scales begin where a vector load may.
TEST(KvDType, TilesAndScalesBeginAtMultiplesOf32Bytes) {
  for (const KvDType dtype : kKvDTypes) {
    for (std::int64_t head_dim = 1; head_dim <= 256; ++head_dim) {
      EXPECT_EQ(kPagePositions * kv_vector_bytes(dtype, head_dim) % 32, 0);
      EXPECT_EQ(kPagePositions * kv_position_bytes(dtype, 1, head_dim) % 64, 0) << "a page";
    }
  }
  EXPECT_EQ(kPagePositions % 32, 0) << "the values of an i8 tile, of any head_dim";
}

TEST(KvDType, EachHasANameOfItsOwn) {
  std::vector<std::string> names;
  for (const KvDType dtype : kKvDTypes) names.emplace_back(kv_dtype_name(dtype));
  EXPECT_EQ(names, (std::vector<std::string>{"f32", "bf16", "f16", "i8"}));
}

}  // namespace
}  // namespace shoal::kernels
