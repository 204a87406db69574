// SPDX-License-Identifier: Apache-2.0
// The form and the functions that a request asks for, field by field.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/serve/api_error.h"
#include "client/serve/api_fields.h"
#include "client/serve/api_request.h"

namespace shoal::client {
namespace {

using constrain::ChoiceForm;
using constrain::JsonForm;
using constrain::RegexForm;
using Json = nlohmann::ordered_json;

absl::StatusOr<GenerationQuery> ask(const std::string& more) {
  const auto body = parse_body(R"({"messages":[{"role":"user","content":"hi"}],)" + more + "}");
  return body.ok() ? read_chat(*body) : body.status();
}
constexpr const char* kTools =
    R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}},
                {"type":"function","function":{"name":"g"}}])";

TEST(ApiForm, EachSpellingIsRead) {
  const Json object = {{"type", "object"}};
  for (
      const auto& [field, schema] : std::vector<std::pair<std::string, Json>>{
          {R"("response_format":{"type":"json_object"})", object},
          {R"("response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,"schema":{"const":1}}})",
           {{"const", 1}}},
          {R"("structured_outputs":{"json":{"const":1}})", {{"const", 1}}},
          {R"("structured_outputs":{"json":"{\"const\":1}","regex":null})", {{"const", 1}}},
          {R"("structured_outputs":{"json_object":true})", object},
          {R"("guided_json":{"const":1})", {{"const", 1}}}}) {
    const auto query = ask(field);
    ASSERT_TRUE(query.ok()) << query.status();
    EXPECT_EQ(std::get<JsonForm>(query->form->form).schema, schema) << field;
  }
  EXPECT_EQ(std::get<RegexForm>(ask(R"("guided_regex":"a+")")->form->form).pattern, "a+");
  EXPECT_EQ(std::get<ChoiceForm>(ask(R"("structured_outputs":{"choice":["a","b"]})")->form->form)
                .texts.size(),
            2u);
  for (const char* field :
       {R"("response_format":{"type":"text"})", R"("guided_regex":null)",
        R"("structured_outputs":{})", R"("structured_outputs":{"json":null})"}) {
    EXPECT_FALSE(ask(field)->form) << field;
  }
  EXPECT_TRUE(read_completion(*parse_body(R"({"prompt":"a","guided_choice":["x"]})"))->form);
}

TEST(ApiForm, WhatIsWrongIsNamed) {
  for (const auto& [field, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("response_format":{"type":"structural_tag"})", "response_format"},
           {R"("response_format":"json")", "response_format"},
           {R"("response_format":{"type":"json_schema"})", "response_format"},
           {R"("structured_outputs":{"grammar":"x"})", "structured_outputs.grammar"},
           {R"("structured_outputs":{"structural_tag":"x"})", "structured_outputs.structural_tag"},
           {R"("structured_outputs":{"json":"{"})", "structured_outputs.json"},
           {R"("structured_outputs":{"regex":"a","choice":["b"]})", "structured_outputs.choice"},
           {R"("guided_grammar":"x")", "guided_grammar"},
           {R"("guided_choice":[1])", "guided_choice"},
           {R"("guided_regex":5)", "guided_regex"},
           {R"("guided_regex":"a","response_format":{"type":"json_object"})", "guided_regex"}}) {
    const auto query = ask(field);
    ASSERT_FALSE(query.ok()) << field;
    EXPECT_EQ(api_error(query.status()).status, 400);
    EXPECT_EQ(api_error(query.status()).param, param) << field;
  }
}

TEST(ApiTools, ChoicesAreRead) {
  const auto query = ask(kTools);
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->tools->choice, ToolQuery::Choice::kAuto);
  EXPECT_TRUE(query->tools->several);
  ASSERT_EQ(query->tools->functions.size(), 2u);
  EXPECT_EQ(query->tools->functions[1].second, Json({{"type", "object"}}));
  EXPECT_EQ(std::get<ApiMessages>(query->prompts[0]).tools.size(), 2u);
  const auto must =
      ask(std::string(kTools) + R"(,"tool_choice":"required","parallel_tool_calls":false)");
  EXPECT_EQ(must->tools->choice, ToolQuery::Choice::kRequired);
  EXPECT_FALSE(must->tools->several);
  const auto named =
      ask(std::string(kTools) + R"(,"tool_choice":{"type":"function","function":{"name":"g"}})");
  ASSERT_EQ(named->tools->functions.size(), 1u);
  EXPECT_EQ(named->tools->functions[0].first, "g");
  // The model is not told of what it may not call.
  const auto none = ask(std::string(kTools) + R"(,"tool_choice":"none")");
  EXPECT_TRUE(std::get<ApiMessages>(none->prompts[0]).tools.is_null());
  EXPECT_FALSE(ask(R"("tools":[],"tool_choice":"auto")")->tools);
}

TEST(ApiTools, WhatIsWrongIsNamed) {
  for (const auto& [field, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("tools":{})", "tools"},
           {R"("tools":[{"type":"web_search"}])", "tools[0]"},
           {R"("tools":[{"type":"function"}])", "tools[0].function"},
           {R"("tools":[{"type":"function","function":{"name":"a b"}}])", "tools[0].function.name"},
           {R"("tools":[{"type":"function","function":{"name":"a","parameters":[]}}])",
            "tools[0].function.parameters"},
           {R"("tool_choice":"required")", "tool_choice"},
           {std::string(kTools) + R"(,"tool_choice":"always")", "tool_choice"},
           {std::string(kTools) + R"(,"tool_choice":{"type":"function","function":{"name":"h"}})",
            "tool_choice"},
           {std::string(kTools) + R"(,"tool_choice":{"type":"allowed_tools"})", "tool_choice"}}) {
    const auto query = ask(field);
    ASSERT_FALSE(query.ok()) << field;
    EXPECT_EQ(api_error(query.status()).param, param) << field;
  }
}

TEST(ApiTools, MessagesMayHaveCallsAndTheirResults) {
  const auto read = [](const std::string& message) {
    return read_chat(
        *parse_body(R"({"messages":[{"role":"user","content":"a"},)" + message + "]}"));
  };
  EXPECT_TRUE(
      read(
          R"({"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},
             {"role":"tool","tool_call_id":"c","content":"5"})")
          .ok());
  EXPECT_FALSE(read(R"({"role":"assistant","tool_calls":[{"function":{}}]})").ok());
  EXPECT_FALSE(read(R"({"role":"assistant","tool_calls":{}})").ok());
}

}  // namespace
}  // namespace shoal::client
