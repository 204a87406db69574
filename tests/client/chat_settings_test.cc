// SPDX-License-Identifier: Apache-2.0
// Settings that change in the middle of a talk.
#include "client/chat/chat_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::client {
namespace {

using ::testing::HasSubstr;

TEST(ChatSettingsTest, AWishForRandomnessEndsGreed) {
  ChatSettings settings;
  settings.max_tokens = 10;
  EXPECT_TRUE(settings.sampling.greedy);
  ASSERT_TRUE(change(settings, "temperature", "0.7").ok());
  EXPECT_FALSE(settings.sampling.greedy);
  EXPECT_EQ(settings.sampling.temperature, 0.7);
  ASSERT_TRUE(change(settings, "temperature", "0").ok());
  EXPECT_TRUE(settings.sampling.greedy);
  ASSERT_TRUE(change(settings, "top_k", "40").ok()) << "as files spell it";
  EXPECT_EQ(settings.sampling.top_k, 40);
  ASSERT_TRUE(change(settings, "top-p", "0.5").ok());
  ASSERT_TRUE(change(settings, "min-p", "0.1").ok());
  ASSERT_TRUE(change(settings, "repetition-penalty", "1.1").ok());
  ASSERT_TRUE(change(settings, "max-tokens", "77").ok());
  ASSERT_TRUE(change(settings, "seed", "18446744073709551615").ok());
  EXPECT_EQ(settings.max_tokens, 77);
  EXPECT_EQ(settings.seed, 18446744073709551615u);
  EXPECT_THAT(settings_text(settings), HasSubstr("repetition-penalty  1.1"));
}

TEST(ChatSettingsTest, WhatIsWrongChangesNothing) {
  ChatSettings settings;
  settings.max_tokens = 10;
  const std::string before = settings_text(settings);
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"temperature", "hot", "give a number"},
      {"temperature", "-1", "temperature"},
      {"temperature", "0.7x", "give a number"},
      {"temperature", "nan", ""},
      {"top-p", "2", "top"},
      {"top-k", "1.5", "give a number"},
      {"max-tokens", "0", "must be 1 to"},
      {"seed", "-3", "give a number"},
      {"mood", "good", "there are temperature, top-k"}};
  for (const auto& [name, value, why] : cases) {
    const absl::Status status = change(settings, name, value);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name << " " << value;
    EXPECT_THAT(status.message(), HasSubstr(why));
    EXPECT_EQ(settings_text(settings), before) << name << " " << value;
  }
}

}  // namespace
}  // namespace shoal::client
