// SPDX-License-Identifier: Apache-2.0
// Calls of functions in a model's text, family by family, whole and in pieces.
#include "client/serve/tool_call_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "client/constrain/piece_trie.h"

namespace shoal::client {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

struct Read {
  std::string text;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
  bool operator==(const Read&) const = default;
};

void add(Read& read, const std::vector<ToolEvent>& events) {
  for (const ToolEvent& event : events) {
    switch (event.kind) {
      case ToolEvent::Kind::kText:
        read.text += event.text;
        break;
      case ToolEvent::Kind::kCall:
        ASSERT_EQ(event.call, read.calls.size());
        read.calls.emplace_back(event.text, "");
        break;
      case ToolEvent::Kind::kArguments:
        ASSERT_EQ(event.call + 1, read.calls.size());
        read.calls.back().second += event.text;
        break;
    }
  }
}

Read read_in_pieces(ToolFamily family, const std::string& text, std::size_t size,
                    bool several = true) {
  ToolCallStream stream(family, {"f", "g_2"}, several);
  Read read;
  for (std::size_t at = 0; at < text.size(); at += size)
    add(read, stream.push(text.substr(at, size)));
  add(read, stream.finish());
  EXPECT_EQ(stream.calls(), read.calls.size());
  return read;
}

// The same in pieces of any size.
Read read_all(ToolFamily family, const std::string& text) {
  const Read read = read_in_pieces(family, text, text.size() + 1);
  for (std::size_t size = 1; size < 12; ++size) {
    EXPECT_EQ(read_in_pieces(family, text, size), read) << text << " by " << size;
  }
  return read;
}

TEST(ToolCallStream, Hermes) {
  const Read read = read_all(ToolFamily::kHermes,
                             "I look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": "
                             "\"}</tool_call>\\\"\", \"b\": [1]}}\n</tool_call>\n<tool_call>\n"
                             "{\"arguments\": {}, \"name\": \"other\"}\n</tool_call>\n");
  EXPECT_EQ(read.text, "I look.\n");
  EXPECT_THAT(read.calls, ElementsAre(Pair("f", "{\"a\": \"}</tool_call>\\\"\", \"b\": [1]}"),
                                      Pair("other", "{}")));
}

TEST(ToolCallStream, Llama) {
  EXPECT_THAT(read_all(ToolFamily::kLlama3, R"({"name": "f", "parameters": {"a": 1}})").calls,
              ElementsAre(Pair("f", R"({"a": 1})")));
  EXPECT_THAT(
      read_all(
          ToolFamily::kLlama3,
          R"( <|python_tag|>{"type": "function", "name": "f", "parameters": {}}; {"name": "g_2", "parameters": {"x": null}})")
          .calls,
      ElementsAre(Pair("f", "{}"), Pair("g_2", R"({"x": null})")));
}

TEST(ToolCallStream, Mistral) {
  const Read read = read_all(
      ToolFamily::kMistral,
      R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": [1, "]"]}}, {"name": "g_2", "arguments": {}, "id": "abcdefghi"}])");
  EXPECT_EQ(read.text, "");
  EXPECT_THAT(read.calls, ElementsAre(Pair("f", R"({"a": [1, "]"]})"), Pair("g_2", "{}")));
  EXPECT_THAT(read_all(ToolFamily::kMistralNamed,
                       R"(Hm.[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g_2{"b": "{"})")
                  .calls,
              ElementsAre(Pair("f", R"({"a": 1})"), Pair("g_2", R"({"b": "{"})")));
  EXPECT_THAT(read_all(ToolFamily::kMistralNamed, R"([TOOL_CALLS]f[CALL_ID]xyz[ARGS]{})").calls,
              ElementsAre(Pair("f", "{}")));
}

TEST(ToolCallStream, PlainJson) {
  EXPECT_THAT(read_all(ToolFamily::kJson,
                       R"([{"name": "f", "arguments": {}}, {"name": "f", "parameters": {"a":1}}])")
                  .calls,
              ElementsAre(Pair("f", "{}"), Pair("f", R"({"a":1})")));
  // Arguments as a text with JSON, as the API has them; and none.
  EXPECT_THAT(read_all(ToolFamily::kJson, R"({"name": "f", "arguments": "{\"a\": 1}"})").calls,
              ElementsAre(Pair("f", R"({"a": 1})")));
  EXPECT_THAT(read_all(ToolFamily::kJson, R"({"name": "f"})").calls, ElementsAre(Pair("f", "{}")));
}

TEST(ToolCallStream, WhatIsNoCallIsText) {
  const std::vector<std::pair<ToolFamily, std::string>> cases = {
      {ToolFamily::kHermes, "no call, <tool_cal"},
      {ToolFamily::kHermes, "<tool_call>\nnothing</tool_call> behind"},
      {ToolFamily::kHermes, "<tool_call>{\"other\": 1}"},
      {ToolFamily::kHermes, "<tool_call>"},
      {ToolFamily::kLlama3, R"({"answer": 42})"},
      {ToolFamily::kLlama3, R"({"name": "unknown", "parameters": {}})"},
      {ToolFamily::kLlama3, R"(The call is {"name": "f", "parameters": {}})"},
      {ToolFamily::kLlama3, "<|python_tag|>print(1)"},
      {ToolFamily::kJson, "[1, 2]"},
      {ToolFamily::kJson, R"({"name": "f")"},
      {ToolFamily::kMistral, "[TOOL_CALLS] one two"},
      {ToolFamily::kJson, "  \n "},
      {ToolFamily::kHermes, ""},
  };
  for (const auto& [family, text] : cases) {
    const Read read = read_all(family, text);
    if (text == R"({"name": "f")") {  // cut off behind its name
      EXPECT_EQ(read.calls.size(), 1u);
      continue;
    }
    EXPECT_TRUE(read.calls.empty()) << text;
    EXPECT_EQ(read.text, text);
  }
}

TEST(ToolCallStream, TextStreamsWhileItCanBeNoMarker) {
  ToolCallStream stream(ToolFamily::kHermes, {"f"}, true);
  const auto text = [](const std::vector<ToolEvent>& events) {
    std::string all;
    for (const ToolEvent& event : events) all += event.text;
    return all;
  };
  EXPECT_EQ(text(stream.push("a < b <tool")), "a < b ");
  EXPECT_EQ(text(stream.push("s> <")), "<tools> ");
  // Arguments come as they come.
  EXPECT_EQ(text(stream.push("tool_call>{\"name\":\"f\",\"arguments\":{\"a")), "f{\"a");
  EXPECT_EQ(text(stream.push("bc\":")), "bc\":");
}

TEST(ToolCallStream, OneCallWhereOneIsAllowed) {
  const std::string text = R"([{"name": "f", "arguments": {}}, {"name": "g_2", "arguments": {}}])";
  EXPECT_THAT(read_in_pieces(ToolFamily::kJson, text, 5, /*several=*/false).calls,
              ElementsAre(Pair("f", "{}")));
}

TEST(ToolSyntax, FamiliesAreFoundByTheirTemplates) {
  const auto family = [](const std::string& source) {
    return tool_family_of(
        [&](std::string_view text) { return source.find(text) != std::string::npos; });
  };
  EXPECT_EQ(family("... <tool_call> ..."), ToolFamily::kHermes);
  EXPECT_EQ(family("[TOOL_CALLS] ["), ToolFamily::kMistral);
  EXPECT_EQ(family("[TOOL_CALLS]name[ARGS]"), ToolFamily::kMistralNamed);
  EXPECT_EQ(family("<|python_tag|>"), ToolFamily::kLlama3);
  EXPECT_EQ(family("{{ messages }}"), ToolFamily::kJson);
  EXPECT_EQ(tool_family_named("hermes"), ToolFamily::kHermes);
  EXPECT_EQ(tool_family_named("x"), std::nullopt);
}

// What a constraint makes of two calls is read as two calls.
TEST(ToolSyntax, WhatIsWrittenIsRead) {
  for (const ToolFamily family : {ToolFamily::kHermes, ToolFamily::kLlama3, ToolFamily::kMistral,
                                  ToolFamily::kMistralNamed, ToolFamily::kJson}) {
    const auto form = call_form(family, [](std::string_view) { return false; });
    const std::string one = form.before + "f" + form.middle + "{\"a\": 1}" + form.after;
    const std::string two = form.before + "g_2" + form.middle + "{}" + form.after;
    const Read read = read_all(family, form.begin + one + form.between + two + form.end);
    EXPECT_EQ(read.text, "");
    EXPECT_THAT(read.calls, ElementsAre(Pair("f", "{\"a\": 1}"), Pair("g_2", "{}")));
    const auto marked = call_form(family, [](std::string_view) { return true; });
    for (const std::string& marker : tool_markers(family)) {
      if (marker == "[CALL_ID]" || marker == "<|python_tag|>") continue;
      if (marker == "[ARGS]" && family == ToolFamily::kMistral) continue;
      EXPECT_NE((marked.begin + marked.before + marked.middle + marked.after)
                    .find(constrain::control_mark(marker)),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace shoal::client
