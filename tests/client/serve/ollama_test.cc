// SPDX-License-Identifier: Apache-2.0
// ollama's API: the same texts as OpenAI's, in its own form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "client/serve/ollama_answer.h"
#include "tests/client/serve/demo_gateway.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

const Json kFew = {{"num_predict", 8}, {"temperature", 0}};
const Json kStart = Json::array({{{"role", "user"}, {"content", "Once upon a time"}}});

std::vector<Json> lines_of(const std::string& bytes) {
  std::vector<Json> lines;
  std::istringstream in(bytes);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(Ollama, AStreamIsALineForEachPieceAndTheLastOneHasTheFigures) {
  DemoGateway gateway;
  const auto reply = gateway.post(
      "/api/chat", {{"model", "demo:latest"}, {"messages", kStart}, {"options", kFew}});
  const std::vector<Json> lines = lines_of(reply->bytes());
  ASSERT_GE(lines.size(), 2u);
  std::string text;
  for (const Json& line : lines) {
    text += line["message"]["content"];
    EXPECT_EQ(line["model"], "demo:latest");
    EXPECT_EQ(line["done"], &line == &lines.back());
  }
  EXPECT_EQ(text, gateway.here("Once upon a time\n", 8).text);
  const Json& last = lines.back();
  EXPECT_EQ(last["done_reason"], "length");
  EXPECT_EQ(last["eval_count"], 8);
  EXPECT_EQ(last["prompt_eval_count"],
            gateway.demo().tokenizer->encode("Once upon a time\n")->size());
  const std::int64_t total = last["total_duration"], prompt = last["prompt_eval_duration"],
                     rest = last["eval_duration"];
  EXPECT_GT(prompt, 0);
  EXPECT_GT(rest, 0);
  EXPECT_GE(total, prompt + rest);
}

TEST(Ollama, APromptIsOneTurnOfAChatUnlessItIsRaw) {
  DemoGateway gateway;
  Json body = {
      {"model", "demo"}, {"prompt", "Once upon a time"}, {"stream", false}, {"options", kFew}};
  EXPECT_EQ(gateway.ask("/api/generate", body)["response"],
            gateway.here("Once upon a time\n", 8).text);
  body["raw"] = true;
  EXPECT_EQ(gateway.ask("/api/generate", body)["response"],
            gateway.here("Once upon a time", 8).text);
  DemoGateway plain(absl::NotFoundError("none"), /*with_template=*/false);
  body.erase("raw");
  EXPECT_EQ(plain.ask("/api/generate", body)["response"], gateway.here("Once upon a time", 8).text);
  body["system"] = "Be brief.";
  EXPECT_EQ(plain.post("/api/generate", body)->response().status, 400);
}

TEST(Ollama, OptionsAreThoseOfTheOtherApi) {
  DemoGateway gateway;
  const std::string text = gateway.here("Once upon a time\n", 8).text;
  const Json json = gateway.ask("/api/chat", {{"model", "demo"},
                                              {"messages", kStart},
                                              {"stream", false},
                                              {"keep_alive", "5m"},
                                              {"logprobs", true},
                                              {"top_logprobs", 2},
                                              {"options",
                                               {{"temperature", 0},
                                                {"num_ctx", 4096},
                                                {"num_predict", -1},
                                                {"repeat_penalty", 1},
                                                {"seed", 3},
                                                {"stop", Json::array({text.substr(6, 4)})}}}});
  EXPECT_EQ(json["message"]["content"], text.substr(0, text.find(text.substr(6, 4))));
  EXPECT_EQ(json["done_reason"], "stop");
  EXPECT_EQ(json["logprobs"].size(), json["eval_count"]);
  EXPECT_EQ(json["logprobs"][0]["top_logprobs"].size(), 2u);
}

TEST(Ollama, WhatWouldChangeTheAnswerIsRefusedByName) {
  DemoGateway gateway;
  const Json plain = {{"model", "demo"}, {"prompt", "a"}};
  const Json refused = {{"format", "yaml"},
                        {"template", "{{ .Prompt }}"},
                        {"images", Json::array({"aGk="})},
                        {"context", Json::array({1, 2})},
                        {"suffix", "b"},
                        {"think", true},
                        {"tools", Json::array({Json::object()})}};
  for (const auto& [key, value] : refused.items()) {
    Json body = plain;
    body[key] = value;
    const HttpResponse response = gateway.post("/api/generate", body)->response();
    EXPECT_EQ(response.status, 400) << key;
    const Json json = Json::parse(response.body);
    EXPECT_EQ(json.size(), 1u);
    EXPECT_THAT(json["error"].get<std::string>(), ::testing::StartsWith(key));
  }
  Json body = plain;
  body["options"] = {{"mirostat", 2}};
  EXPECT_EQ(gateway.post("/api/generate", body)->response().status, 400);
  const Json picture =
      Json::array({{{"role", "user"}, {"content", "a"}, {"images", Json::array({"aGk="})}}});
  EXPECT_EQ(
      gateway.post("/api/chat", {{"model", "demo"}, {"messages", picture}})->response().status,
      400);
  EXPECT_EQ(
      gateway.post("/api/chat", {{"model", "llama3"}, {"messages", kStart}})->response().status,
      404);
}

TEST(Ollama, AFormIsKept) {
  DemoGateway gateway;
  const Json schema = {{"type", "object"},
                       {"properties", {{"who", {{"enum", {"wolf", "girl"}}}}}},
                       {"required", {"who"}},
                       {"additionalProperties", false}};
  const Json options = {{"num_predict", 60}, {"temperature", 0}};
  for (const char* path : {"/api/chat", "/api/generate"}) {
    const Json json = gateway.ask(path, {{"model", "demo"},
                                         {"messages", kStart},
                                         {"prompt", "Once upon a time"},
                                         {"format", schema},
                                         {"stream", false},
                                         {"options", options}});
    const std::string text =
        json.contains("message") ? json["message"]["content"] : json["response"];
    const Json made = Json::parse(text, nullptr, false);
    ASSERT_TRUE(made.is_object() && made.contains("who")) << text;
    EXPECT_THAT(made["who"].get<std::string>(), ::testing::AnyOf("wolf", "girl"));
  }
  const Json any = gateway.ask("/api/generate", {{"model", "demo"},
                                                 {"prompt", "Once upon a time"},
                                                 {"format", "json"},
                                                 {"stream", false},
                                                 {"options", {{"num_predict", 3}}}});
  EXPECT_EQ(any["response"].get<std::string>()[0], '{') << any;
}

TEST(Ollama, ACallIsAnObjectInAMessage) {
  const std::string text =
      "I look.<tool_call>\n{\"name\": \"find\", \"arguments\": {\"who\": \"wolf\"}}\n</tool_call>";
  for (const bool stream : {false, true}) {
    const auto reply = std::make_shared<tests::FakeReply>();
    OllamaAnswer answer(
        {.chat = true,
         .stream = stream,
         .model = "demo",
         .calls = CallReading{ToolFamily::kHermes, {"find"}, true, [] { return "call-1"; }}},
        reply);
    for (std::size_t i = 0; i < text.size(); i += 3) answer.text(0, text.substr(i, 3));
    answer.end(0, {"stop", nullptr}, 20);
    std::string said;
    Json calls;
    const std::vector<Json> lines =
        stream ? lines_of(reply->bytes()) : std::vector{Json::parse(reply->response().body)};
    for (const Json& line : lines) {
      said += line["message"]["content"];
      if (line["message"].contains("tool_calls")) calls = line["message"]["tool_calls"];
    }
    EXPECT_EQ(said, "I look.");
    ASSERT_EQ(calls.size(), 1u);
    EXPECT_EQ(calls[0]["function"], Json({{"name", "find"}, {"arguments", {{"who", "wolf"}}}}));
    EXPECT_EQ(lines.back()["done"], true);
    EXPECT_EQ(lines.back()["done_reason"], "stop");
  }
}

TEST(Ollama, NothingToAnswerIsAModelThatIsLoaded) {
  DemoGateway gateway;
  EXPECT_EQ(gateway.ask("/api/generate", {{"model", "demo"}})["done_reason"], "load");
  EXPECT_EQ(gateway.ask("/api/chat", {{"model", "demo"}, {"messages", Json::array()}})["done"],
            true);
  EXPECT_EQ(gateway.post("/api/generate", {{"model", "other"}})->response().status, 404);
}

TEST(Ollama, SaysWhatThereIs) {
  DemoGateway gateway;
  const Json tags = Json::parse(gateway.get("/api/tags").body)["models"];
  ASSERT_EQ(tags.size(), 1u);
  EXPECT_EQ(tags[0]["name"], "demo:latest");
  EXPECT_EQ(tags[0]["digest"].get<std::string>().size(), 64u);
  EXPECT_GT(tags[0]["size"], 13'000'000);
  EXPECT_EQ(Json::parse(gateway.get("/api/ps").body)["models"][0]["name"], "demo:latest");
  const Json show = gateway.ask("/api/show", {{"model", "demo:latest"}});
  EXPECT_EQ(show["model_info"]["LlamaForCausalLM.context_length"], 1024);
  EXPECT_EQ(show["capabilities"], Json::array({"completion", "tools"}));
  EXPECT_TRUE(Json::parse(gateway.get("/api/version").body)["version"].is_string());
}

TEST(Ollama, AnyTypeIsTakenFromWhatIsNoBrowser) {
  DemoGateway gateway;
  const std::string body = R"({"model":"demo"})";
  for (const char* type : {"", "application/x-www-form-urlencoded", "text/plain"}) {
    HttpRequest request{"POST", "/api/generate", "localhost", "", type, "", body};
    EXPECT_EQ(gateway.status_of(request), 200) << type;
    request.origin = "null";  // as a page sends it that hides where it comes from
    EXPECT_EQ(gateway.status_of(request), 415) << type;
    request.origin.clear();
    request.path = "/v1/completions";
    EXPECT_EQ(gateway.status_of(request), 415) << type;
  }
}

TEST(Ollama, AFailureIsAnErrorOfItsForm) {
  DemoGateway gateway;
  gateway.broken = absl::UnavailableError("no node serves blocks 0..3");
  const HttpResponse response =
      gateway.post("/api/chat", {{"model", "demo"}, {"messages", kStart}})->response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(Json::parse(response.body), Json({{"error", "no node serves blocks 0..3"}}));
}

}  // namespace
}  // namespace shoal::client
