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

std::vector<float> run(Executor& executor, const std::vector<float>& q, const KvLayout& layout,
                       std::span<const AttentionSequence> sequences, std::int64_t window) {
  const auto rows = static_cast<std::int64_t>(q.size()) / kCols;
  Guarded in(q, rows, kCols), out(rows, kCols);
  attention(executor, in.view(), kShape.heads, layout, sequences, kScale, window, out.view());
  EXPECT_TRUE(out.intact());
  return out.content();
}

std::vector<float> rows_of(const std::vector<float>& all, std::int64_t begin, std::int64_t rows) {
  return {all.begin() + begin * kCols, all.begin() + (begin + rows) * kCols};
}

TEST(AttentionLaw, PrefillInAnyChunksEqualsDecodingOneByOne) {
  Random random(1);
  const std::int64_t length = 70;
  const std::vector<float> q = random.normals(length * kCols);
  for (const std::int64_t window : {0, 20}) {
    std::vector<float> decoded;
    for (const NamedExecutor& on : all_executors()) {
      for (const std::int64_t chunk : {1, 2, 3, 7, 32, 33, 70}) {
        SCOPED_TRACE(testing::Message() << on.name << " chunk " << chunk << " window " << window);
        Random same(7);
        Session session(same, kShape, length);
        std::vector<float> out;
        for (std::int64_t begin = 0; begin < length; begin += chunk) {
          const std::int64_t rows = std::min(chunk, length - begin);
          session.append(*on.executor, begin, begin + rows);  // what comes later is still NaN
          const AttentionSequence s = session.sequence(0, begin, rows);
          const auto part =
              run(*on.executor, rows_of(q, begin, rows), session.layout(), {&s, 1}, window);
          out.insert(out.end(), part.begin(), part.end());
        }
        if (decoded.empty()) decoded = out;
        ASSERT_TRUE(bitwise_equal(decoded, out));
      }
    }
  }
}

TEST(AttentionLaw, ABatchOfSessionsEqualsEachAlone) {
  Random random(2);
  Executor& any = *all_executors().back().executor;
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<AttentionSequence> sequences;
  std::int64_t row = 0;
  for (const auto& [start, rows] : std::vector<std::pair<std::int64_t, std::int64_t>>{
           {0, 1}, {99, 1}, {31, 40}, {5, 3}, {64, 1}, {287, 2}}) {
    sessions.push_back(std::make_unique<Session>(random, kShape, start + rows));
    sessions.back()->append(any, 0, start + rows);
    sequences.push_back(sessions.back()->sequence(row, start, rows));
    row += rows;
  }
  const std::vector<float> q = random.normals(row * kCols);
  const KvLayout layout = sessions[0]->layout();
  std::vector<float> alone;
  for (const AttentionSequence& s : sequences) {
    AttentionSequence first = s;
    first.row_begin = 0;
    const auto part = run(any, rows_of(q, s.row_begin, s.rows), layout, {&first, 1}, 0);
    alone.insert(alone.end(), part.begin(), part.end());
  }
  for (const NamedExecutor& on : all_executors()) {
    EXPECT_TRUE(bitwise_equal(alone, run(*on.executor, q, layout, sequences, 0))) << on.name;
    const std::vector<AttentionSequence> reversed(sequences.rbegin(), sequences.rend());
    EXPECT_TRUE(bitwise_equal(alone, run(*on.executor, q, layout, reversed, 0))) << on.name;
  }
}

TEST(AttentionLaw, WhatARowMayNotSeeHasNoEffect) {
  Random random(3);
  Session session(random, kShape, 128);
  Executor& any = *all_executors().back().executor;
  session.append(any, 0, 128);
  const std::vector<float> q = random.normals(kCols);
  const AttentionSequence full = session.sequence(0, 90, 1);
  const std::vector<float> clean = run(any, q, session.layout(), {&full, 1}, 40);
  // Position 90 with window 40 sees 51..90: pages 1 and 2. Page 0 may be gone, later pages too.
  std::vector<std::vector<float>> copies;
  const std::size_t floats = 4u * 2 * kPagePositions * 40;
  for (std::size_t p = 1; p < 3; ++p) {
    copies.emplace_back(session.pages()[p], session.pages()[p] + floats);
    for (std::int64_t i = 0; i < kPagePositions; ++i) {
      const std::int64_t position = static_cast<std::int64_t>(p) * kPagePositions + i;
      if (position >= 51 && position <= 90) continue;
      for (std::int64_t h = 0; h < 2; ++h) {
        for (std::int64_t d = 0; d < 40; ++d) {
          const std::int64_t at = (h * kPagePositions + i) * 40 + d;
          copies.back()[static_cast<std::size_t>(session.layout().key_offset + at)] = NAN;
          copies.back()[static_cast<std::size_t>(session.layout().value_offset + at)] = INFINITY;
        }
      }
    }
  }
  std::vector<float*> pages = {nullptr, copies[0].data(), copies[1].data()};
  const AttentionSequence poisoned{0, 1, 90, pages};
  for (const NamedExecutor& on : all_executors()) {
    EXPECT_TRUE(bitwise_equal(clean, run(*on.executor, q, session.layout(), {&poisoned, 1}, 40)))
        << on.name;
  }
}

TEST(AttentionLaw, ANaNThatARowSeesIsNotHidden) {
  Random random(4);
  Session session(random, kShape, 40);
  session.append(*all_executors().front().executor, 0, 40);
  session.pages()[0][session.layout().key_offset] = NAN;  // position 0, kv head 0
  const AttentionSequence s = session.sequence(0, 39, 1);
  for (const NamedExecutor& on : all_executors()) {
    const auto out = run(*on.executor, random.normals(kCols), session.layout(), {&s, 1}, 0);
    EXPECT_TRUE(std::isnan(out[0])) << on.name;
    EXPECT_FALSE(std::isnan(out[4 * 40])) << on.name;  // another kv head
  }
}

}  // namespace
}  // namespace shoal::kernels
