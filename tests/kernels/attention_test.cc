// SPDX-License-Identifier: Apache-2.0
// attention: right within a bound from the data, for grouped heads, windows and positions across
// page edges.
#include "kernels/attention.h"

#include <cmath>

#include "gtest/gtest.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/executors.h"
#include "tests/kernels/kv_pages.h"
#include "tests/reference/attention.h"

namespace shoal::kernels {
namespace {

std::vector<reference::Bounded> expected_row(const Session& session, const Shape& shape,
                                             const float* q, std::int64_t position,
                                             std::int64_t window, float scale) {
  const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
  std::vector<reference::Bounded> row;
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    std::vector<const float*> keys, values;
    for (std::int64_t p = first; p <= position; ++p) {
      const std::int64_t kv_head = h / (shape.heads / shape.kv_heads);
      keys.push_back(session.key(p, kv_head));
      values.push_back(session.value(p, kv_head));
    }
    const auto head = reference::attention(q + h * shape.head_dim, keys, values, shape.head_dim,
                                           static_cast<double>(scale));
    row.insert(row.end(), head.begin(), head.end());
  }
  return row;
}

TEST(Attention, StaysWithinTheBoundAndIsOneResultEverywhere) {
  Random random(1);
  const std::vector<Shape> shapes = {{1, 1, 1},  {2, 2, 3},   {8, 4, 32}, {3, 1, 33},
                                     {4, 4, 64}, {6, 2, 127}, {8, 2, 128}};
  for (const Shape& shape : shapes) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    Session session(random, shape, 300);
    session.append(*all_executors().back().executor, 0, 300);
    for (const std::int64_t window : {0, 1, 31, 32, 100}) {
      // The step's first position and rows: alone at page edges, and prefills that cross them.
      for (const auto& [start, rows] : std::vector<std::pair<std::int64_t, std::int64_t>>{
               {0, 1}, {0, 33}, {30, 5}, {31, 1}, {32, 1}, {62, 3}, {127, 2}, {286, 1}, {281, 9}}) {
        const std::int64_t cols = shape.heads * shape.head_dim;
        const std::vector<float> data = random.normals(rows * cols);
        std::vector<reference::Bounded> expected;
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto row =
              expected_row(session, shape, data.data() + r * cols, start + r, window, scale);
          expected.insert(expected.end(), row.begin(), row.end());
        }
        const std::vector<SessionRows> step = {session.rows(start, rows)};
        std::vector<float> first;
        for (const NamedExecutor& on : all_executors()) {
          SCOPED_TRACE(testing::Message() << on.name << " heads " << shape.heads << "/"
                                          << shape.kv_heads << " x " << shape.head_dim << " start "
                                          << start << " rows " << rows << " window " << window);
          Guarded q(data, rows, cols), out(rows, cols, 2);
          const StepPlan plan = plan_of(*on.executor, step);
          attention(*on.executor, q.view(), shape.heads, session.pages().view(), session.layout(),
                    plan, scale, window, out.view());
          EXPECT_TRUE(out.intact());
          if (first.empty()) first = out.content();
          ASSERT_TRUE(within_bound(expected, out.content()));
          ASSERT_TRUE(bitwise_equal(first, out.content()));
          attention(*on.executor, q.view(), shape.heads, session.pages().view(), session.layout(),
                    plan, scale, window, q.view());  // out may be q
          EXPECT_TRUE(q.intact());
          ASSERT_TRUE(bitwise_equal(first, q.content()));
        }
      }
    }
  }
}

// Scores far apart: the running maximum moves, in both directions, by more than exp can hold.
TEST(Attention, RescalesAcrossTiles) {
  const Shape shape{1, 1, 16};
  for (const float step : {3.0f, -3.0f}) {
    Random random(2);
    Session session(random, shape, 200);
    session.append(*all_executors().front().executor, 0, 200);
    std::vector<float> page_of_ones(16, 1.0f);
    // Keys p * step along one axis, written over the random ones; values stay.
    for (std::int64_t p = 0; p < 200; ++p) {
      Pages& pages = session.pages();
      const std::int64_t key = pages.at(session.ids()[static_cast<std::size_t>(p / kPagePositions)],
                                        session.layout().key_offset + p % kPagePositions * 16);
      for (int d = 0; d < 16; ++d) pages.set(key + d, d == 0 ? step * static_cast<float>(p) : 0.0f);
    }
    const std::int64_t winner = step > 0 ? 199 : 0;
    for (const NamedExecutor& on : all_executors()) {
      SCOPED_TRACE(on.name);
      Guarded q(page_of_ones, 1, 16), out(1, 16);
      attention(*on.executor, q.view(), 1, session.pages().view(), session.layout(),
                plan_of(*on.executor, {session.rows(199, 1)}), 1.0f, 0, out.view());
      // The next best weighs e^-3; the rest is its geometric series.
      for (int d = 0; d < 16; ++d) {
        double sum = 0, total = 0;
        for (std::int64_t p = 0; p < 200; ++p) {
          const double weight = std::exp(-3.0 * std::abs(static_cast<double>(p - winner)));
          sum += weight * session.value(p, 0)[d];
          total += weight;
        }
        EXPECT_NEAR(out.view().data[d], sum / total, 1e-5);
      }
    }
  }
}

// Narrow pages: exactly what f32 attention makes of the rounded keys and values, and no further
// from the unrounded ones than the type's own rounding moves scores and values.
TEST(Attention, NarrowPagesAreWidenedExactlyAndCostOneRounding) {
  Random random(5);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    const double rounding = dtype == DType::kBF16 ? 0x1p-8 : 0x1p-11;
    for (const Shape& shape :
         {Shape{2, 2, 3}, Shape{8, 2, 64}, Shape{6, 2, 127}, Shape{8, 2, 128}}) {
      const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
      Session session(random, shape, 150, dtype);
      session.append(*all_executors().back().executor, 0, 150);
      for (const auto& [start, rows] : std::vector<std::pair<std::int64_t, std::int64_t>>{
               {0, 1}, {31, 1}, {30, 9}, {149, 1}, {120, 30}}) {
        const std::int64_t cols = shape.heads * shape.head_dim;
        const std::vector<float> data = random.normals(rows * cols);
        std::vector<reference::Bounded> exact, rounded;
        for (std::int64_t r = 0; r < rows; ++r) {
          for (std::int64_t h = 0; h < shape.heads; ++h) {
            const float* q = data.data() + r * cols + h * shape.head_dim;
            const std::int64_t kv_head = h / (shape.heads / shape.kv_heads);
            std::vector<const float*> keys, values, kept_keys, kept_values;
            std::vector<std::vector<float>> kept;
            double score_shift = 0, largest = 0;
            for (std::int64_t p = 0; p <= start + r; ++p) {
              keys.push_back(session.key(p, kv_head));
              values.push_back(session.value(p, kv_head));
              double magnitude = 0;
              std::vector<float> key, value;
              const auto keep = [&](float x) {
                return dtype == DType::kBF16 ? base::from_bf16(base::to_bf16(x))
                                             : base::from_f16(base::to_f16(x));
              };
              for (std::int64_t d = 0; d < shape.head_dim; ++d) {
                magnitude += std::abs(static_cast<double>(q[d]) * keys.back()[d]);
                largest = std::max(largest, std::abs(static_cast<double>(values.back()[d])));
                key.push_back(keep(keys.back()[d]));
                value.push_back(keep(values.back()[d]));
              }
              score_shift =
                  std::max(score_shift, rounding * magnitude * static_cast<double>(scale));
              kept.push_back(key);
              kept.push_back(value);
            }
            for (std::size_t p = 0; p < keys.size(); ++p) {
              kept_keys.push_back(kept[2 * p].data());
              kept_values.push_back(kept[2 * p + 1].data());
            }
            const double s = static_cast<double>(scale);
            auto head = reference::attention(q, kept_keys, kept_values, shape.head_dim, s);
            rounded.insert(rounded.end(), head.begin(), head.end());
            head = reference::attention(q, keys, values, shape.head_dim, s);
            for (reference::Bounded& value : head) {
              // Weights move by e^(2 shift), up and down; values by one rounding, or the smallest
              // step of f16.
              value.bound +=
                  (std::expm1(2 * score_shift) * 2 + rounding * 1.01) * largest + 0x1p-24;
            }
            exact.insert(exact.end(), head.begin(), head.end());
          }
        }
        std::vector<float> first;
        for (const NamedExecutor& on : all_executors()) {
          SCOPED_TRACE(testing::Message()
                       << on.name << " " << dtype_name(dtype) << " heads " << shape.heads << "/"
                       << shape.kv_heads << " x " << shape.head_dim << " start " << start
                       << " rows " << rows);
          Guarded q(data, rows, cols), out(rows, cols, 2);
          attention(*on.executor, q.view(), shape.heads, session.pages().view(), session.layout(),
                    plan_of(*on.executor, {session.rows(start, rows)}), scale, 0, out.view());
          EXPECT_TRUE(out.intact());
          if (first.empty()) first = out.content();
          ASSERT_TRUE(within_bound(rounded, out.content()));
          ASSERT_TRUE(within_bound(exact, out.content()));
          ASSERT_TRUE(bitwise_equal(first, out.content()));
        }
      }
    }
  }
}

TEST(KvAppend, PlacesEveryPositionAndNothingElse) {
  Random random(3);
  const Shape shape{4, 2, 5};
  for (const DType dtype : kDTypes) {
    for (const NamedExecutor& on : all_executors()) {
      SCOPED_TRACE(testing::Message() << on.name << " " << dtype_name(dtype));
      Session session(random, shape, 100, dtype);
      session.append(*on.executor, 0, 30);
      session.append(*on.executor, 30, 31);
      session.append(*on.executor, 31, 70);
      const KvLayout layout = session.layout();
      Pages& pages = session.pages();
      std::int64_t written = 0;
      for (const std::int32_t id : session.ids()) {
        for (std::int64_t i = 0; i < pages.stride(); ++i) {
          written += !std::isnan(pages.get(pages.at(id, i)));
        }
      }
      EXPECT_EQ(written, 70 * 2 * 2 * 5);
      const auto kept = [&](float x) {
        return dtype == DType::kF32    ? x
               : dtype == DType::kBF16 ? base::from_bf16(base::to_bf16(x))
                                       : base::from_f16(base::to_f16(x));
      };
      for (std::int64_t p = 0; p < 70; ++p) {
        const std::int32_t page = session.ids()[static_cast<std::size_t>(p / kPagePositions)];
        for (std::int64_t h = 0; h < 2; ++h) {
          for (std::int64_t d = 0; d < 5; ++d) {
            const std::int64_t at = (h * kPagePositions + p % kPagePositions) * 5 + d;
            ASSERT_EQ(pages.get(pages.at(page, layout.key_offset + at)), kept(session.key(p, h)[d]))
                << p;
            ASSERT_EQ(pages.get(pages.at(page, layout.value_offset + at)),
                      kept(session.value(p, h)[d]))
                << p;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
