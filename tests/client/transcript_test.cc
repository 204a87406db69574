// SPDX-License-Identifier: Apache-2.0
// A talk as messages, and to a file and back.
#include "client/chat/transcript.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::client {
namespace {

using ::testing::HasSubstr;

TEST(Transcript, ComesBackAsItWas) {
  const Transcript talks[] = {
      {},
      {"Be brief.", {}},
      {"", {{"Hi", "Hello!"}, {"\"{{x}}\"\n\xc3\xa9", std::nullopt}}},
      {"s", {{"a", "b"}, {"", ""}, {"c", "d"}}},
  };
  for (const Transcript& talk : talks) {
    const auto back = parse_transcript(transcript_text(talk, "org/model"));
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, talk);
  }
}

TEST(Transcript, IsAListOfMessages) {
  const Transcript talk{"s", {{"a", "b"}, {"c", std::nullopt}}};
  EXPECT_EQ(talk.messages().dump(),
            R"([{"role":"system","content":"s"},{"role":"user","content":"a"},)"
            R"({"role":"assistant","content":"b"},{"role":"user","content":"c"}])");
  EXPECT_EQ(*parse_transcript(talk.messages().dump()), talk) << "a bare list is taken too";
}

TEST(Transcript, WhatIsNoneSaysWhy) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "not JSON"},
      {"[", "not JSON"},
      {"7", "not JSON with a list"},
      {R"({"messages": 7})", "not JSON with a list"},
      {R"([7])", "message 1 has no role"},
      {R"([{"role": "user"}])", "message 1 has no role or no content"},
      {R"([{"role": "user", "content": ["x"]}])", "no content that is text"},
      {R"([{"role": "assistant", "content": "x"}])", "message 1 is of \"assistant\", out of turn"},
      {R"([{"role": "user", "content": "x"}, {"role": "user", "content": "y"}])", "message 2"},
      {R"([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}])", "message 2"},
      {R"([{"role": "tool", "content": "x"}])", "\"tool\""},
  };
  for (const auto& [text, why] : cases) {
    const auto parsed = parse_transcript(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(parsed.status().message(), HasSubstr(why)) << text;
  }
  EXPECT_FALSE(parse_transcript(std::string(kMaxTranscriptBytes + 1, ' ')).ok());
  EXPECT_FALSE(parse_transcript(std::string(100'000, '[')).ok());
}

}  // namespace
}  // namespace shoal::client
