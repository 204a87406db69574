// SPDX-License-Identifier: Apache-2.0
// For precompiled headers alone, as common_instances.h: what tests compare. Nobody calls it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::common_instances {

template <typename A, typename B>
void equal(const A& a, const B& b) {
  EXPECT_EQ(a, b);
  EXPECT_NE(a, b);
}

template <typename A, typename B>
void order(const A& a, const B& b) {
  equal(a, b);
  EXPECT_LT(a, b);
  EXPECT_LE(a, b);
  EXPECT_GT(a, b);
  EXPECT_GE(a, b);
}

inline void comparisons(const std::string& text, std::string_view view) {
  order(1, 1);
  order(1u, 1u);
  order(1u, 1);
  order(std::uint64_t{1}, 1);
  order(std::uint64_t{1}, 1u);
  order(std::uint64_t{1}, std::uint64_t{1});
  order(std::int64_t{1}, std::int64_t{1});
  order(1.0, 1.0);
  order(1.0f, 1.0f);
  equal(std::int64_t{1}, 1);
  equal(true, false);
  equal(text, text);
  equal(view, view);
  equal(text, view);
  equal(std::vector<std::string>{text}, std::vector<std::string>{text});
  equal(std::vector<std::uint8_t>{1}, std::vector<std::uint8_t>{1});
  equal(std::vector<int>{1}, std::vector<int>{1});
  equal(nlohmann::json(text), nlohmann::json(text));
  EXPECT_TRUE(text.empty()) << text << view << 1 << 1u << std::uint64_t{1} << 1.0;
  EXPECT_NEAR(1.0, 1.0, 1.0) << text;
  EXPECT_THAT(text, testing::HasSubstr(text));
  EXPECT_THAT(text, testing::HasSubstr("a"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("a")));
  EXPECT_THAT(text, testing::StartsWith("a"));
}

}  // namespace shoal::common_instances
