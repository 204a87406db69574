// SPDX-License-Identifier: Apache-2.0
// Answers of an agreed form, and calls of functions, by the gateway over the demo model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "client/serve/gateway.h"
#include "client/text/local_pipeline.h"
#include "tests/client/golden.h"
#include "tests/client/serve/fake_reply.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using tests::FakeReply;

constexpr const char* kTale = R"("messages":[{"role":"user","content":"Once upon a time"}])";
constexpr const char* kWeather =
    R"("tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object",
      "properties":{"city":{"enum":["Paris","Oslo"]},"days":{"type":"integer","minimum":1,"maximum":9}},
      "required":["city","days"]}}}])";
constexpr const char* kPerson =
    R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},
        "age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","maxItems":2,"items":{"enum":["a","b"]}}},
        "required":["name","age","tags"]})";

class StructuredGateway : public ::testing::Test {
 protected:
  StructuredGateway() { build("{{ messages[0].content }}{{ tools }}\n"); }
  void build(const std::string& source) {
    gateway_.reset();
    engine_ = std::make_unique<Engine>(
        *demo_,
        [this](SessionNeeds needs,
               const base::StopToken& stop) -> absl::StatusOr<std::unique_ptr<Pipeline>> {
          auto opened = LocalPipeline::create(*demo_, needs.positions, stop);
          if (!opened.ok()) return opened.status();
          return *std::move(opened);
        },
        Engine::Options{1, 20});
    gateway_ = std::make_unique<Gateway>(
        *demo_, model::chat::ChatTemplate::parse(source, {}).value(), *engine_,
        [] { return absl::OkStatus(); }, GatewayOptions{.model_name = "demo"});
  }
  std::shared_ptr<FakeReply> begin(const std::string& path, const std::string& body) {
    auto reply = std::make_shared<FakeReply>();
    gateway_->handle({"POST", path, "localhost", "", "application/json", "id", body}, reply);
    EXPECT_TRUE(reply->finishes_within(60'000));
    return reply;
  }
  Json ask(const std::string& fields, int status = 200,
           const std::string& path = "/v1/chat/completions") {
    const bool chat = path == "/v1/chat/completions" || path == "/tokenize";
    const HttpResponse response =
        begin(path, std::string("{") + (chat ? kTale : R"("prompt":"Once upon")") + fields + "}")
            ->response();
    EXPECT_EQ(response.status, status) << response.body;
    return Json::parse(response.body);
  }

  const std::unique_ptr<UserModel> demo_ = load_demo(1);
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(StructuredGateway, AnswersSatisfyTheSchemaHoweverHotTheyAre) {
  const Json json = ask(
      std::string(
          R"(,"temperature":1.5,"n":6,"seed":5,"max_tokens":300,"presence_penalty":1,"logprobs":true,
             "response_format":{"type":"json_schema","json_schema":{"name":"p","strict":true,"schema":)") +
      kPerson + "}}");
  std::set<std::string> texts;
  for (const Json& choice : json["choices"]) {
    ASSERT_EQ(choice["finish_reason"], "stop") << choice;
    const std::string text = choice["message"]["content"];
    texts.insert(text);
    const Json person = Json::parse(text);
    EXPECT_TRUE(person["name"].is_string() && person["age"] >= 0 && person["age"] <= 150) << text;
    EXPECT_LE(person["tags"].size(), 2u);
    // They are the model's own, not those of what was allowed.
    double sum = 0;
    for (const Json& token : choice["logprobs"]["content"]) sum += token["logprob"].get<double>();
    EXPECT_LT(sum, -1);
  }
  EXPECT_GT(texts.size(), 1u);
}

TEST_F(StructuredGateway, ObjectsRegexesAndChoices) {
  const std::string hot = R"(,"temperature":1,"seed":3,"max_tokens":400)";
  for (const char* field : {R"(,"response_format":{"type":"json_object"})",
                            R"(,"structured_outputs":{"json_object":true})"}) {
    const Json choice = ask(hot + field)["choices"][0];
    const std::string text = choice["message"]["content"];
    if (choice["finish_reason"] == "stop") {
      EXPECT_TRUE(Json::parse(text).is_object()) << text;
    } else {
      EXPECT_TRUE(text.starts_with("{")) << text;
    }
  }
  const std::string number = ask(hot + R"(,"guided_regex":"[0-9]{3}-[a-f]{2}")", 200,
                                 "/v1/completions")["choices"][0]["text"];
  EXPECT_TRUE(std::regex_match(number, std::regex("[0-9]{3}-[a-f]{2}"))) << number;
  const Json choice = ask(hot + R"(,"structured_outputs":{"choice":["yes","no"]})")["choices"][0];
  EXPECT_THAT(choice["message"]["content"].get<std::string>(), ::testing::AnyOf("yes", "no"));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(ask(R"(,"max_tokens":2,"guided_regex":"[0-9]{30}")")["choices"][0]["finish_reason"],
            "length");
  // It ends by itself where the model may not end it.
  EXPECT_EQ(ask(R"(,"ignore_eos":true,"guided_regex":"[0-9]{3}")")["choices"][0]["finish_reason"],
            "stop");
}

TEST_F(StructuredGateway, WhatCannotBeDoneIsA400) {
  Json error =
      ask(R"(,"guided_json":{"type":"object","properties":{"a":{"not":{}}}})", 400)["error"];
  EXPECT_EQ(error["param"], "guided_json");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("\"not\""));
  EXPECT_EQ(ask(R"(,"guided_regex":"(")", 400)["error"]["param"], "guided_regex");
  error = ask(std::string(",") + kWeather +
                  R"(,"tool_choice":"required","response_format":{"type":"json_object"})",
              400)["error"];
  EXPECT_EQ(error["param"], "response_format");
  error = ask(R"(,"tool_choice":"required","tools":[{"type":"function","function":{"name":"f",
      "parameters":{"type":"object","properties":{"a":{"type":"x"}}}}}])",
              400)["error"];
  EXPECT_EQ(error["param"], "tools");
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("parameters of f"));
  // A rule that forbids what the form wants.
  error = ask(R"(,"guided_regex":"|","min_tokens":2)", 400)["error"];
  EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("forbid all"));
}

TEST_F(StructuredGateway, ARequiredCallIsOneOfTheFunctions) {
  for (const auto& [source, family] : std::vector<std::pair<std::string, std::string>>{
           {"{{ messages[0].content }}{{ tools }}<tool_call>", "hermes"},
           {"{{ messages[0].content }}[TOOL_CALLS]", "mistral"},
           {"{{ messages[0].content }}[TOOL_CALLS][ARGS]", "mistral named"},
           {"{{ messages[0].content }}<|python_tag|>", "llama"},
           {"{{ messages[0].content }}", "json"}}) {
    build(source);
    const std::string fields =
        std::string(",") + kWeather +
        R"(,"temperature":1.2,"seed":9,"max_tokens":200,"tool_choice":"required","parallel_tool_calls":false)";
    const Json choice = ask(fields)["choices"][0];
    EXPECT_EQ(choice["finish_reason"], "tool_calls") << family << choice;
    EXPECT_TRUE(choice["message"]["content"].is_null()) << family << choice;
    ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u) << family;
    const Json call = choice["message"]["tool_calls"][0];
    EXPECT_EQ(call["type"], "function");
    EXPECT_FALSE(call["id"].get<std::string>().empty());
    EXPECT_EQ(call["function"]["name"], "get_weather");
    const Json arguments = Json::parse(call["function"]["arguments"].get<std::string>());
    EXPECT_THAT(arguments["city"].get<std::string>(), ::testing::AnyOf("Paris", "Oslo"));
    EXPECT_TRUE(arguments["days"] >= 1 && arguments["days"] <= 9);

    // The same in pieces.
    std::string bytes =
        begin("/v1/chat/completions", std::string("{") + kTale + fields + R"(,"stream":true})")
            ->bytes();
    std::string put_together, reason, name, id;
    int chunks = 0;
    while (bytes.starts_with("data: {")) {
      const std::size_t end = bytes.find("\n\n");
      const Json chunk = Json::parse(bytes.substr(6, end - 6))["choices"][0];
      bytes.erase(0, end + 2);
      if (chunk["finish_reason"].is_string()) reason = chunk["finish_reason"];
      if (!chunk["delta"].contains("tool_calls")) {
        EXPECT_EQ(chunk["delta"].value("content", ""), "") << family;
        continue;
      }
      const Json delta = chunk["delta"]["tool_calls"][0];
      EXPECT_EQ(delta["index"], 0);
      if (delta.contains("id")) {
        id = delta["id"];
        name = delta["function"]["name"];
        EXPECT_EQ(delta["type"], "function");
      }
      put_together += delta["function"]["arguments"].get<std::string>();
      ++chunks;
    }
    EXPECT_EQ(bytes, "data: [DONE]\n\n");
    EXPECT_EQ(name, "get_weather");
    EXPECT_FALSE(id.empty());
    EXPECT_GT(chunks, 2) << family;
    EXPECT_EQ(put_together, call["function"]["arguments"]) << family;
    EXPECT_EQ(reason, "tool_calls");
  }
}

TEST_F(StructuredGateway, ControlTokensOfAFamilyAreWrittenAndRead) {
  // The last token becomes a control token that marks calls.
  Json file = Json::parse(tests::read_file(demo_folder() + "/tokenizer.json"));
  Json& vocabulary = file["model"]["vocab"];
  const auto last = static_cast<std::int32_t>(vocabulary.size()) - 1;
  for (auto entry = vocabulary.begin(); entry != vocabulary.end(); ++entry) {
    if (entry.value() != last) continue;
    vocabulary.erase(entry);
    break;
  }
  file["model"]["merges"].erase(file["model"]["merges"].size() - 1);
  Json added = file["added_tokens"][0];
  added["id"] = last;
  added["content"] = "[TOOL_CALLS]";
  file["added_tokens"].push_back(added);
  auto tokenizer = model::Tokenizer::parse(file.dump());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  demo_->tokenizer = std::make_unique<model::Tokenizer>(*std::move(tokenizer));
  build("{{ messages[0].content }}[TOOL_CALLS]");
  const Json json =
      ask(std::string(",") + kWeather +
          R"(,"temperature":1,"max_tokens":200,"tool_choice":"required","logprobs":true)");
  const Json choice = json["choices"][0];
  EXPECT_EQ(choice["logprobs"]["content"][0]["token"], "[TOOL_CALLS]") << choice;
  ASSERT_FALSE(choice["message"]["tool_calls"].empty()) << choice;
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "get_weather");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["id"].get<std::string>().size(), 9u);
  // A text never has one.
  const Json other = ask(R"(,"max_tokens":5,"logit_bias":{")" + std::to_string(last) +
                         R"(":100},"guided_regex":"[A-Z\\[\\]_]{5,}")");
  EXPECT_EQ(other["choices"][0]["message"]["content"].get<std::string>().find("[TOOL_CALLS]"),
            std::string::npos);
}

TEST_F(StructuredGateway, AutoLeavesItToTheModelAndNoneSaysNothing) {
  const Json plain = ask(std::string(",") + kWeather + R"(,"temperature":0,"max_tokens":8)");
  EXPECT_EQ(plain["choices"][0]["finish_reason"], "length");
  EXPECT_FALSE(plain["choices"][0]["message"].contains("tool_calls"));
  EXPECT_NE(plain["choices"][0]["message"]["content"], "");
  const auto count = [&](const std::string& more) {
    return ask(more, 200, "/tokenize")["count"].get<int>();
  };
  EXPECT_GT(count(std::string(",") + kWeather), count("") + 20);
  const auto prompt = [&](const std::string& more) {
    return ask(std::string(R"(,"max_tokens":1)") + more)["usage"]["prompt_tokens"].get<int>();
  };
  EXPECT_EQ(prompt(std::string(",") + kWeather), count(std::string(",") + kWeather));
  EXPECT_EQ(prompt(std::string(R"(,"tool_choice":"none",)") + kWeather), prompt(""));
  // A form or a call: whichever it becomes, it can be read.
  const Json both = ask(
      std::string(",") + kWeather +
      R"(,"temperature":1.3,"seed":4,"max_tokens":300,"n":4,"guided_json":{"type":"object","required":["ok"],"properties":{"ok":{"type":"boolean"}}})");
  for (const Json& choice : both["choices"]) {
    if (choice["message"].contains("tool_calls")) {
      EXPECT_EQ(choice["finish_reason"], "tool_calls");
    } else {
      EXPECT_TRUE(Json::parse(choice["message"]["content"].get<std::string>())["ok"].is_boolean());
    }
  }
}

}  // namespace
}  // namespace shoal::client
