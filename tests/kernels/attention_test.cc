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
        const AttentionSequence sequence = session.sequence(0, start, rows);
        std::vector<float> first;
        for (const NamedExecutor& on : all_executors()) {
          SCOPED_TRACE(testing::Message() << on.name << " heads " << shape.heads << "/"
                                          << shape.kv_heads << " x " << shape.head_dim << " start "
                                          << start << " rows " << rows << " window " << window);
          Guarded q(data, rows, cols), out(rows, cols, 2);
          attention(*on.executor, q.view(), shape.heads, session.layout(), {&sequence, 1}, scale,
                    window, out.view());
          EXPECT_TRUE(out.intact());
          if (first.empty()) first = out.content();
          ASSERT_TRUE(within_bound(expected, out.content()));
          ASSERT_TRUE(bitwise_equal(first, out.content()));
          attention(*on.executor, q.view(), shape.heads, session.layout(), {&sequence, 1}, scale,
                    window, q.view());  // out may be q
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
      float* page = session.pages()[static_cast<std::size_t>(p / kPagePositions)];
      float* key = page + session.layout().key_offset + p % kPagePositions * 16;
      for (int d = 0; d < 16; ++d) key[d] = d == 0 ? step * static_cast<float>(p) : 0.0f;
    }
    const std::int64_t winner = step > 0 ? 199 : 0;
    const AttentionSequence sequence = session.sequence(0, 199, 1);
    for (const NamedExecutor& on : all_executors()) {
      SCOPED_TRACE(on.name);
      Guarded q(page_of_ones, 1, 16), out(1, 16);
      attention(*on.executor, q.view(), 1, session.layout(), {&sequence, 1}, 1.0f, 0, out.view());
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

TEST(KvAppend, PlacesEveryPositionAndNothingElse) {
  Random random(3);
  const Shape shape{4, 2, 5};
  for (const NamedExecutor& on : all_executors()) {
    Session session(random, shape, 100);
    session.append(*on.executor, 0, 30);
    session.append(*on.executor, 30, 31);
    session.append(*on.executor, 31, 70);
    const KvLayout layout = session.layout();
    std::int64_t written = 0;
    for (float* page : session.pages()) {
      for (std::int64_t i = 0; i < 4 * 2 * kPagePositions * 5; ++i) written += !std::isnan(page[i]);
    }
    EXPECT_EQ(written, 70 * 2 * 2 * 5) << on.name;
    for (std::int64_t p = 0; p < 70; ++p) {
      const float* page = session.pages()[static_cast<std::size_t>(p / kPagePositions)];
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t d = 0; d < 5; ++d) {
          const std::int64_t at = (h * kPagePositions + p % kPagePositions) * 5 + d;
          ASSERT_EQ(page[layout.key_offset + at], session.key(p, h)[d]) << on.name << p;
          ASSERT_EQ(page[layout.value_offset + at], session.value(p, h)[d]) << on.name << p;
        }
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
