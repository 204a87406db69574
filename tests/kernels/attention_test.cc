// SPDX-License-Identifier: Apache-2.0
// attention: right within a bound from the data, for grouped heads, windows and positions across
// page edges.
#include "kernels/attention.h"

#include <cmath>
#include <deque>
#include <functional>
#include <tuple>

#include "gtest/gtest.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/executors.h"
#include "tests/kernels/kv_pages.h"
#include "tests/reference/attention.h"

namespace shoal::kernels {
namespace {

// Of each head of a row: what it is to see.
template <class Vector>
std::vector<reference::Bounded> row_of(const Vector& key, const Vector& value, const Shape& shape,
                                       const float* q, std::int64_t position, std::int64_t window,
                                       float scale) {
  const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
  std::vector<reference::Bounded> row;
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    std::vector<const float*> keys, values;
    for (std::int64_t p = first; p <= position; ++p) {
      const std::int64_t kv_head = h / (shape.heads / shape.kv_heads);
      keys.push_back(key(p, kv_head));
      values.push_back(value(p, kv_head));
    }
    const auto head = reference::attention(q + h * shape.head_dim, keys, values, shape.head_dim,
                                           static_cast<double>(scale));
    row.insert(row.end(), head.begin(), head.end());
  }
  return row;
}

std::vector<reference::Bounded> expected_row(const Session& session, const Shape& shape,
                                             const float* q, std::int64_t position,
                                             std::int64_t window, float scale) {
  using Vector = std::function<const float*(std::int64_t, std::int64_t)>;
  return row_of<Vector>([&](std::int64_t p, std::int64_t head) { return session.key(p, head); },
                        [&](std::int64_t p, std::int64_t head) { return session.value(p, head); },
                        shape, q, position, window, scale);
}

// Of keys and values as the pages keep them.
std::vector<reference::Bounded> kept_row(Session& session, const Shape& shape, const float* q,
                                         std::int64_t position, std::int64_t window, float scale) {
  using Vector = std::function<const float*(std::int64_t, std::int64_t)>;
  std::deque<std::vector<float>> kept;  // whose elements stay where they are
  const auto vector = [&](Side side) {
    return [&kept, &session, side](std::int64_t p, std::int64_t head) -> const float* {
      return kept.emplace_back(session.pages().get(session.page_of(p), side, p, head)).data();
    };
  };
  return row_of<Vector>(vector(Side::kKeys), vector(Side::kValues), shape, q, position, window,
                        scale);
}

// By what the rounding of keys and values may change: a score by the sum over head_dim of |q| times
// a key's error, so weights by e^(2 shift) up and down; a value by its own error.
void widen_bounds(std::vector<reference::Bounded>& row, const Session& session, const Shape& shape,
                  const float* q, std::int64_t position, std::int64_t window, float scale) {
  const std::int64_t dim = shape.head_dim;
  const std::int64_t first = window > 0 ? std::max<std::int64_t>(0, position - window + 1) : 0;
  const KvDType dtype = session.dtype();
  for (std::int64_t h = 0; h < shape.heads; ++h) {
    const std::int64_t kv_head = h / (shape.heads / shape.kv_heads);
    double shift = 0, largest = 0, miss = 0;
    for (std::int64_t p = first; p <= position; ++p) {
      const float* const key = session.key(p, kv_head);
      const float* const value = session.value(p, kv_head);
      double moved = 0;
      for (std::int64_t d = 0; d < dim; ++d) {
        moved +=
            std::abs(static_cast<double>(q[h * dim + d])) * reference::kv_error(dtype, key, dim, d);
        largest = std::max(largest, std::abs(static_cast<double>(value[d])));
        miss = std::max(miss, reference::kv_error(dtype, value, dim, d));
      }
      shift = std::max(shift, moved * static_cast<double>(scale));
    }
    for (std::int64_t d = 0; d < dim; ++d) {
      row[static_cast<std::size_t>(h * dim + d)].bound +=
          std::expm1(2 * shift) * 2 * largest + miss * 1.01;
    }
  }
}

TEST(Attention, StaysWithinTheBoundAndIsOneResultEverywhere) {
  Random random(1);
  const std::vector<Shape> shapes = {{1, 1, 1},  {2, 2, 3},   {8, 4, 32}, {3, 1, 33},
                                     {4, 4, 64}, {6, 2, 127}, {8, 2, 128}};
  for (const Shape& shape : shapes) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    Session session(random, shape, 300);
    session.append(cpu_executor(), 0, 300);
    for (const std::int64_t window :
         in_sweep<std::vector<std::int64_t>>({0, 1, 31, 32, 100}, {0, 31})) {
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
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message() << name << " heads " << shape.heads << "/"
                                          << shape.kv_heads << " x " << shape.head_dim << " start "
                                          << start << " rows " << rows << " window " << window);
          Guarded q(data, rows, cols), out(rows, cols, 2);
          const StepPlan plan = plan_of(*executor, step);
          const KvPages pages = session.pages().view(*executor);
          const MatrixView in = q.view(*executor, plan);
          attention(*executor, in, shape.heads, pages, session.layout(), plan, scale, window,
                    out.view(*executor, plan));
          EXPECT_TRUE(out.intact());
          if (first.empty()) first = out.content();
          ASSERT_TRUE(within_bound(expected, out.content()));
          ASSERT_TRUE(bitwise_equal(first, out.content()));
          attention(*executor, in, shape.heads, pages, session.layout(), plan, scale, window,
                    in);  // out may be q
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
    session.append(cpu_executor(), 0, 200);
    std::vector<float> page_of_ones(16, 1.0f);
    // Keys p * step along one axis, written over the random ones; values stay.
    for (std::int64_t p = 0; p < 200; ++p) {
      const std::vector<float> key = [&] {
        std::vector<float> x(16, 0.0f);
        x[0] = step * static_cast<float>(p);
        return x;
      }();
      session.pages().put(session.page_of(p), Side::kKeys, p, 0, key.data());
    }
    const std::int64_t winner = step > 0 ? 199 : 0;
    for (const auto& [name, executor] : all_executors()) {
      SCOPED_TRACE(name);
      Guarded q(page_of_ones, 1, 16), out(1, 16);
      const StepPlan plan = plan_of(*executor, {session.rows(199, 1)});
      attention(*executor, q.view(*executor, plan), 1, session.pages().view(*executor),
                session.layout(), plan, 1.0f, 0, out.view(*executor, plan));
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

// Narrow pages: exactly what f32 attention makes of the keys and values as they are kept, and no
// further from those that came than the type's own rounding moves scores and values.
TEST(Attention, NarrowPagesCostTheRoundingOfTheirTypeAndNoMore) {
  Random random(5);
  for (const KvDType dtype : {KvDType::kBF16, KvDType::kF16, KvDType::kI8}) {
    for (const Shape& shape : in_sweep<std::vector<Shape>>({{2, 2, 3},
                                                            {4, 4, 32},
                                                            {3, 1, 33},
                                                            {8, 2, 64},
                                                            {4, 2, 80},
                                                            {6, 2, 127},
                                                            {8, 2, 128},
                                                            {2, 2, 255},
                                                            {4, 1, 256}},
                                                           {{3, 1, 33}, {8, 2, 64}, {4, 1, 256}})) {
      const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
      Session session(random, shape, 150, dtype);
      session.append(cpu_executor(), 0, 150);
      for (const auto& [start, rows, window] :
           std::vector<std::tuple<std::int64_t, std::int64_t, std::int64_t>>{
               {0, 1, 0}, {31, 1, 0}, {30, 9, 0}, {149, 1, 0}, {149, 1, 40}, {120, 30, 33}}) {
        const std::int64_t cols = shape.heads * shape.head_dim;
        const std::vector<float> data = random.normals(rows * cols);
        std::vector<reference::Bounded> exact, kept;
        for (std::int64_t r = 0; r < rows; ++r) {
          const float* const q = data.data() + r * cols;
          const auto of_kept = kept_row(session, shape, q, start + r, window, scale);
          kept.insert(kept.end(), of_kept.begin(), of_kept.end());
          auto of_all = expected_row(session, shape, q, start + r, window, scale);
          widen_bounds(of_all, session, shape, q, start + r, window, scale);
          exact.insert(exact.end(), of_all.begin(), of_all.end());
        }
        std::vector<float> first;
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message()
                       << name << " " << kv_dtype_name(dtype) << " heads " << shape.heads << "/"
                       << shape.kv_heads << " x " << shape.head_dim << " start " << start
                       << " rows " << rows << " window " << window);
          Guarded q(data, rows, cols), out(rows, cols, 2);
          const StepPlan plan = plan_of(*executor, {session.rows(start, rows)});
          attention(*executor, q.view(*executor, plan), shape.heads,
                    session.pages().view(*executor), session.layout(), plan, scale, window,
                    out.view(*executor, plan));
          EXPECT_TRUE(out.intact());
          if (first.empty()) first = out.content();
          ASSERT_TRUE(within_bound(kept, out.content()));
          ASSERT_TRUE(within_bound(exact, out.content()));
          ASSERT_TRUE(bitwise_equal(first, out.content()));
        }
      }
    }
  }
}

// Up to the longest, with and without whole runs of 16 bytes, over the end of a split.
TEST(Attention, TakesLongHeads) {
  Random random(6);
  for (const Shape& shape : in_sweep<std::vector<Shape>>(
           {{2, 1, 258}, {4, 2, 320}, {8, 2, 512}, {2, 2, 514}, {1, 1, 1022}, {6, 1, 1024}},
           {{2, 1, 258}, {2, 1, 1024}})) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
    for (const KvDType dtype : kKvDTypes) {
      Session session(random, shape, 280, dtype);
      session.append(cpu_executor(), 0, 280);
      for (const auto& [start, rows] :
           std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 1}, {30, 5}, {279, 1}}) {
        const std::int64_t cols = shape.heads * shape.head_dim;
        const std::vector<float> data = random.normals(rows * cols);
        std::vector<reference::Bounded> expected;
        for (std::int64_t r = 0; r < rows; ++r) {
          const auto row = kept_row(session, shape, data.data() + r * cols, start + r, 0, scale);
          expected.insert(expected.end(), row.begin(), row.end());
        }
        std::vector<float> first;
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message() << name << " " << kv_dtype_name(dtype) << " x "
                                          << shape.head_dim << " start " << start);
          Guarded q(data, rows, cols), out(rows, cols, 2);
          const StepPlan plan = plan_of(*executor, {session.rows(start, rows)});
          attention(*executor, q.view(*executor, plan), shape.heads,
                    session.pages().view(*executor), session.layout(), plan, scale, 0,
                    out.view(*executor, plan));
          EXPECT_TRUE(out.intact());
          if (first.empty()) first = out.content();
          ASSERT_TRUE(within_bound(expected, out.content()));
          ASSERT_TRUE(bitwise_equal(first, out.content()));
        }
      }
    }
  }
}

TEST(Attention, LongerHeadsAreOurMistake) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Shape shape{1, 1, kMostHeadDim + 2};
  Random random(7);
  Session session(random, shape, 1);
  Executor& executor = *all_executors().back().executor;
  Guarded q(1, shape.head_dim);
  const StepPlan plan = plan_of(executor, {session.rows(0, 1)});
  EXPECT_DEATH(attention(executor, q.view(executor, plan), 1, session.pages().view(executor),
                         session.layout(), plan, 1.0f, 0, q.view(executor, plan)),
               "head_dim 1026, at most 1024");
}

// The bytes of the law where they belong, and nothing else is written: not the other block's half
// of a page, not the positions that are to come.
TEST(RotateAppend, PlacesEveryPositionAndNothingElse) {
  Random random(3);
  for (const std::int64_t head_dim : {1, 5, 16, 33, 80, 128}) {
    const Shape shape{4, 2, head_dim};
    for (const KvDType dtype : kKvDTypes) {
      for (const auto& [name, executor] : all_executors()) {
        SCOPED_TRACE(testing::Message()
                     << name << " " << kv_dtype_name(dtype) << " x " << head_dim);
        Session session(random, shape, 100, dtype);
        session.append(*executor, 0, 30);
        session.append(*executor, 30, 31);
        session.append(*executor, 31, 70);
        Pages expected(shape, 100 / kPagePositions + 1, dtype);
        for (std::int64_t p = 0; p < 70; ++p) {
          for (std::int64_t h = 0; h < 2; ++h) {
            expected.put(session.page_of(p), Side::kKeys, p, h, session.key(p, h));
            expected.put(session.page_of(p), Side::kValues, p, h, session.value(p, h));
          }
        }
        ASSERT_TRUE(expected.bytes() == session.pages().bytes());
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
