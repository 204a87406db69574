// SPDX-License-Identifier: Apache-2.0
// The laws of attention, bit for bit: a row's result depends on its query and on what it may see,
// on nothing else.
#include <cmath>

#include "gtest/gtest.h"
#include "kernels/attention.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/executors.h"
#include "tests/kernels/kv_pages.h"

namespace shoal::kernels {
namespace {

constexpr Shape kShape{8, 2, 40};
constexpr std::int64_t kCols = 8 * 40;
constexpr float kScale = 0.158f;

std::vector<float> run(Executor& executor, const std::vector<float>& q, Pages& pages,
                       const std::vector<SessionRows>& sessions, std::int64_t window) {
  const auto rows = static_cast<std::int64_t>(q.size()) / kCols;
  Guarded in(q, rows, kCols), out(rows, kCols);
  const StepPlan plan = plan_of(executor, sessions);
  attention(executor, in.view(executor, plan), kShape.heads, pages.view(executor), pages.layout(),
            plan, kScale, window, out.view(executor, plan));
  EXPECT_TRUE(out.intact());
  return out.content();
}

std::vector<float> part_of(const std::vector<float>& all, std::int64_t begin, std::int64_t rows) {
  return {all.begin() + begin * kCols, all.begin() + (begin + rows) * kCols};
}

TEST(AttentionLaw, PrefillInAnyChunksEqualsDecodingOneByOne) {
  Random random(1);
  const std::int64_t length = 70;
  const std::vector<float> q = random.normals(length * kCols);
  for (const KvDType dtype : kKvDTypes) {
    for (const std::int64_t window : {0, 20}) {
      std::vector<float> decoded;
      for (const auto& [name, executor] : all_executors()) {
        for (const std::int64_t chunk : {1, 2, 3, 7, 32, 33, 70}) {
          SCOPED_TRACE(testing::Message() << name << " " << kv_dtype_name(dtype) << " chunk "
                                          << chunk << " window " << window);
          Random same(7);
          Session session(same, kShape, length, dtype);
          std::vector<float> out;
          for (std::int64_t begin = 0; begin < length; begin += chunk) {
            const std::int64_t rows = std::min(chunk, length - begin);
            session.append(*executor, begin, begin + rows);  // what comes later is still NaN
            const auto part = run(*executor, part_of(q, begin, rows), session.pages(),
                                  {session.rows(begin, rows)}, window);
            out.insert(out.end(), part.begin(), part.end());
          }
          if (decoded.empty()) decoded = out;
          ASSERT_TRUE(bitwise_equal(decoded, out));
        }
      }
    }
  }
}

// Splits begin at multiples of 256: threads share those of a lone row, and rows of a chunk that
// stand before and behind such a border are merged at different times.
TEST(AttentionLaw, SplitsEqualDecodingOneByOne) {
  Random random(11);
  const std::int64_t length = 1'030;
  for (const KvDType dtype : {KvDType::kF32, KvDType::kI8}) {
    const auto pages = std::make_shared<Pages>(kShape, 40, dtype);
    Session session(random, kShape, length, pages);
    session.append(cpu_executor(), 0, length);
    for (const std::int64_t window : {0, 300, 256, 255}) {
      for (const std::int64_t first : {250, 509, 1'020}) {
        const std::vector<float> q = random.normals(10 * kCols);
        std::vector<float> expected;
        for (const auto& [name, executor] : all_executors()) {
          SCOPED_TRACE(testing::Message() << name << " " << kv_dtype_name(dtype) << " rows from "
                                          << first << " window " << window);
          std::vector<float> alone;
          for (std::int64_t r = 0; r < 10; ++r) {
            const auto row =
                run(*executor, part_of(q, r, 1), *pages, {session.rows(first + r, 1)}, window);
            alone.insert(alone.end(), row.begin(), row.end());
          }
          if (expected.empty()) expected = alone;
          ASSERT_TRUE(bitwise_equal(expected, alone));
          ASSERT_TRUE(bitwise_equal(expected,
                                    run(*executor, q, *pages, {session.rows(first, 10)}, window)));
        }
      }
    }
  }
}

TEST(AttentionLaw, ABatchOfSessionsEqualsEachAlone) {
  for (const KvDType dtype : kKvDTypes) {
    Random random(2);
    Executor& any = cpu_executor();
    const auto pages = std::make_shared<Pages>(kShape, 40, dtype);
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<SessionRows> batch;
    std::int64_t row = 0;
    std::vector<std::int64_t> first_rows;
    for (const auto& [start, rows] : std::vector<std::pair<std::int64_t, std::int64_t>>{
             {0, 1}, {99, 1}, {31, 40}, {5, 3}, {64, 1}, {287, 2}}) {
      sessions.push_back(std::make_unique<Session>(random, kShape, start + rows, pages));
      sessions.back()->append(any, 0, start + rows);
      batch.push_back(sessions.back()->rows(start, rows));
      first_rows.push_back(row);
      row += rows;
    }
    const std::vector<float> q = random.normals(row * kCols);
    std::vector<float> alone, reversed_q, reversed_alone;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const auto part = run(any, part_of(q, first_rows[i], batch[i].rows), *pages, {batch[i]}, 0);
      alone.insert(alone.end(), part.begin(), part.end());
      reversed_alone.insert(reversed_alone.begin(), part.begin(), part.end());
      const auto own = part_of(q, first_rows[i], batch[i].rows);
      reversed_q.insert(reversed_q.begin(), own.begin(), own.end());
    }
    const std::vector<SessionRows> reversed(batch.rbegin(), batch.rend());
    for (const auto& [name, executor] : all_executors()) {
      EXPECT_TRUE(bitwise_equal(alone, run(*executor, q, *pages, batch, 0))) << name;
      EXPECT_TRUE(bitwise_equal(reversed_alone, run(*executor, reversed_q, *pages, reversed, 0)))
          << name;
    }
  }
}

TEST(AttentionLaw, WhatARowMayNotSeeHasNoEffect) {
  for (const KvDType dtype : kKvDTypes) {
    Random random(3);
    const auto pages = std::make_shared<Pages>(kShape, 8, dtype);
    Session session(random, kShape, 128, pages);
    Executor& any = cpu_executor();
    session.append(any, 0, 128);
    const std::vector<float> q = random.normals(kCols);
    const std::vector<float> clean = run(any, q, *pages, {session.rows(90, 1)}, 40);
    // Position 90 with window 40 sees 51..90: pages 1 and 2. Page 0 may be gone, later pages too.
    std::vector<std::int32_t> ids = {-1, pages->take(), pages->take()};
    const std::vector<float> nan(40, NAN), infinity(40, INFINITY);
    for (std::size_t p = 1; p < 3; ++p) {
      pages->copy_page(session.ids()[p], ids[p]);
      for (std::int64_t i = 0; i < kPagePositions; ++i) {
        const std::int64_t position = static_cast<std::int64_t>(p) * kPagePositions + i;
        if (position >= 51 && position <= 90) continue;
        for (std::int64_t h = 0; h < 2; ++h) {
          pages->put(ids[p], Side::kKeys, i, h, nan.data());
          pages->put(ids[p], Side::kValues, i, h, infinity.data());
        }
      }
    }
    for (const auto& [name, executor] : all_executors()) {
      EXPECT_TRUE(bitwise_equal(clean, run(*executor, q, *pages, {{90, 1, ids}}, 40)))
          << name << " " << kv_dtype_name(dtype);
    }
  }
}

// One value that is not finite, in a key or in a value: it is seen in the heads that read it.
TEST(AttentionLaw, WhatIsNotFiniteIsNotHidden) {
  for (const KvDType dtype : kKvDTypes) {
    for (const Side side : {Side::kKeys, Side::kValues}) {
      for (const float bad : {NAN, INFINITY, -INFINITY}) {
        // A score of -infinity is one, of weight 0; i8 knows NaN only.
        if (side == Side::kKeys && std::isinf(bad) && dtype != KvDType::kI8) continue;
        for (const std::int64_t d : {0, 17, 39}) {
          for (const auto& [name, executor] : all_executors()) {
            SCOPED_TRACE(testing::Message()
                         << name << " " << kv_dtype_name(dtype) << " "
                         << (side == Side::kKeys ? "key " : "value ") << bad << " at " << d);
            Random random(4);
            Session session(random, kShape, 40, dtype);
            (side == Side::kKeys ? session.key(0, 0) : session.value(0, 0))[d] = bad;
            session.append(*executor, 0, 40);
            const auto out =
                run(*executor, random.normals(kCols), session.pages(), {session.rows(39, 1)}, 0);
            EXPECT_FALSE(std::isfinite(out[static_cast<std::size_t>(d)]));
            for (std::size_t i = 4 * 40; i < out.size(); ++i) {
              ASSERT_TRUE(std::isfinite(out[i])) << i << ", of another kv head";
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
