// SPDX-License-Identifier: Apache-2.0
// Token ids and scores on the wire: what is sent arrives, and what no model can have said is
// refused.
#include "proto/scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "proto/limits.h"

namespace shoal::proto {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint32_t kVocabulary = 10;

std::string text(const absl::Status& status) { return std::string(status.message()); }

// Two rows, three logits of each, and two that were named.
ScoresWanted wanted() { return {3, {4, 9, 4, 1}}; }
std::vector<RowScores> rows() {
  return {{{{7, 2.5f}, {4, 1.0f}, {5, 1.0f}}, 2.0, {1.0f, -3.0f}},
          {{{0, 0.0f}, {3, -0.0f}, {1, -8.0f}}, -9.5, {-8.5f, -8.0f}}};
}

absl::StatusOr<std::vector<RowScores>> decoded(const wire::Scores& message) {
  return decode_scores(message, wanted(), 2, kVocabulary);
}

TEST(TokenIds, SurviveTheWire) {
  const std::vector<std::int32_t> ids = {0, 9, 3};
  const std::string bytes = encode_ids(ids);
  EXPECT_EQ(bytes.size(), 12u);
  EXPECT_EQ(bytes.substr(4, 4), std::string("\x09\0\0\0", 4));
  const auto out = decode_ids(bytes, 3, kVocabulary);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(*out, ids);
}

TEST(TokenIds, AreWholeFewAndInTheVocabulary) {
  EXPECT_THAT(text(decode_ids("12345", 3, kVocabulary).status()), HasSubstr("5 bytes"));
  EXPECT_THAT(text(decode_ids(std::string(16, '\0'), 3, kVocabulary).status()),
              HasSubstr("at most 3"));
  for (const std::int32_t id : {10, -1, std::numeric_limits<std::int32_t>::min()}) {
    EXPECT_THAT(text(decode_ids(encode_ids({{0, id}}), 3, kVocabulary).status()),
                HasSubstr("outside of the model's vocabulary of 10"))
        << id;
  }
}

TEST(ScoresWanted, SurviveTheWire) {
  const auto out = from_wire(to_wire(wanted()), 2, kVocabulary);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->top, 3u);
  EXPECT_THAT(out->also, ElementsAre(4, 9, 4, 1));
}

TEST(ScoresWanted, AreBounded) {
  const auto refusal = [](const ScoresWanted& asked, std::uint32_t count) {
    return text(from_wire(to_wire(asked), count, kVocabulary).status());
  };
  EXPECT_THAT(refusal({0, {}}, 1), HasSubstr("the 0 largest"));
  EXPECT_THAT(refusal({kMaxTopLogits + 1, {}}, 1), HasSubstr("1 to 1024"));
  EXPECT_EQ(refusal({kMaxTopLogits, {}}, 128), "");
  EXPECT_THAT(refusal({kMaxTopLogits, {}}, 129), HasSubstr("more than a result has"));
  EXPECT_THAT(refusal({1, {1, 2, 3}}, 2), HasSubstr("each has as many"));
  EXPECT_THAT(refusal({1, {10}}, 1), HasSubstr("vocabulary"));
  EXPECT_EQ(refusal({1, std::vector<std::int32_t>(kMaxAlsoIds)}, 1), "");
  EXPECT_THAT(refusal({1, std::vector<std::int32_t>(kMaxAlsoIds + 1)}, 1), HasSubstr("at most"));
}

TEST(ScoresTest, SurviveTheWire) {
  const auto out = decoded(encode_scores(rows()));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(*out, rows());
}

TEST(ScoresTest, OfAllTheVocabularyHaveNoRest) {
  const std::vector<RowScores> all = {{{{1, 1.0f}, {0, 0.5f}}, std::nullopt, {}}};
  const auto out = decode_scores(encode_scores(all), {1024, {}}, 1, 2);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(*out, all);
}

TEST(ScoresTest, WhatNoModelSaysIsRefused) {
  using Rows = std::vector<RowScores>;
  const float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<const char*, std::function<void(Rows&)>>> changes = {
      {"falling order", [](Rows& r) { r[0].top[1].value = 2.6f; }},
      {"falling order", [](Rows& r) { std::swap(r[0].top[1], r[0].top[2]); }},
      {"twice",
       [](Rows& r) {
         r[0].top[2] = {7, 0.5f};
       }},
      {"outside of the vocabulary", [](Rows& r) { r[1].top[2].id = 10; }},
      {"outside of the vocabulary", [](Rows& r) { r[1].top[2].id = -1; }},
      {"not finite", [&](Rows& r) { r[0].top[0].value = kInfinity; }},
      {"not finite", [&](Rows& r) { r[0].top[2].value = -kInfinity; }},
      {"not finite", [](Rows& r) { r[0].also[0] = std::nanf(""); }},
      {"contradict", [](Rows& r) { r[0].also[0] = 0.5f; }},       // 4 is of the top
      {"contradict", [](Rows& r) { r[0].also[1] = 1.5f; }},       // 9 is not
      {"more weight", [](Rows& r) { r[0].rest_log_sum = 3.1; }},  // at most 1 + log 7
      {"more weight", [](Rows& r) { r[1].rest_log_sum = std::nan(""); }},
      {"more weight", [](Rows& r) { r[1].rest_log_sum = -INFINITY; }},
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Rows changed = rows();
    changes[i].second(changed);
    EXPECT_THAT(text(decoded(encode_scores(changed)).status()), HasSubstr(changes[i].first)) << i;
  }
}

TEST(ScoresTest, AnotherShapeIsRefused) {
  const std::vector<std::function<void(wire::Scores&)>> changes = {
      [](auto& m) { m.set_rows(1); },
      [](auto& m) { m.set_rows(1u << 31); },
      [](auto& m) { m.set_top(2); },
      [](auto& m) { m.set_top(1u << 31); },
      [](auto& m) { m.mutable_ids()->pop_back(); },
      [](auto& m) { m.mutable_logits()->append("1234"); },
      [](auto& m) { m.clear_rest(); },
      [](auto& m) { m.clear_also(); },
      [](auto& m) { m.Clear(); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    wire::Scores message = encode_scores(rows());
    changes[i](message);
    EXPECT_THAT(text(decoded(message).status()), HasSubstr("another shape")) << i;
  }
}

}  // namespace
}  // namespace shoal::proto
