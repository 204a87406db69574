// SPDX-License-Identifier: Apache-2.0
// The gateway without sockets, over the demo model in this process: what it answers, and to whom.
#include "client/serve/gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/chat/talk.h"
#include "client/text/local_pipeline.h"
#include "tests/client/golden.h"
#include "tests/client/serve/fake_reply.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using tests::FakeReply;

constexpr const char* kStory = R"("prompt":"Once upon a time","temperature":0)";
constexpr const char* kMessages = R"("messages":[{"role":"user","content":"Once upon a time"}])";

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() { build({}); }
  void build(std::vector<std::string> keys, bool with_template = true,
             Engine::Options limits = {1, 3}) {
    gateway_.reset();
    engine_ = std::make_unique<Engine>(
        *demo_,
        [this](SessionNeeds needs,
               const base::StopToken& stop) -> absl::StatusOr<std::unique_ptr<Pipeline>> {
          if (!broken_.ok()) return broken_;
          auto opened = LocalPipeline::create(*demo_, needs.positions, stop);
          if (!opened.ok()) return opened.status();
          return *std::move(opened);
        },
        limits);
    std::optional<model::chat::ChatTemplate> chat_template;
    if (with_template) chat_template = model::chat::ChatTemplate::load(demo_folder()).value();
    gateway_ = std::make_unique<Gateway>(
        *demo_, std::move(chat_template), *engine_, [this] { return broken_; },
        GatewayOptions{.model_name = "demo", .api_keys = std::move(keys), .version = "1"});
  }
  std::shared_ptr<FakeReply> begin(HttpRequest request) {
    auto reply = std::make_shared<FakeReply>();
    gateway_->handle(std::move(request), reply);
    return reply;
  }
  static HttpRequest post(const std::string& path, const std::string& body) {
    return {"POST", path, "localhost", "", "application/json", "id-1", body};
  }
  HttpResponse ask(HttpRequest request) {
    const auto reply = begin(std::move(request));
    EXPECT_TRUE(reply->finishes_within(20'000));
    return reply->response();
  }
  Json json_of(const HttpResponse& response) { return Json::parse(response.body); }
  Json complete(const std::string& more) {
    const HttpResponse response =
        ask(post("/v1/completions", std::string("{") + kStory + more + "}"));
    EXPECT_EQ(response.status, 200) << response.body;
    return json_of(response);
  }
  void expect_error(const HttpResponse& response, int status, const std::string& code) {
    EXPECT_EQ(response.status, status) << response.body;
    const Json error = json_of(response)["error"];
    EXPECT_EQ(error["code"], code) << response.body;
    EXPECT_TRUE(error.contains("message") && error.contains("type") && error.contains("param"));
  }
  GenerateResult here(const std::string& prompt, GenerateRequest request) {
    request.prompt_ids = *demo_->tokenizer->encode(prompt);
    base::StopToken stop;
    auto pipeline = LocalPipeline::create(*demo_, 1024, stop);
    return *generate(**pipeline, *demo_, request, stop);
  }

  const std::unique_ptr<UserModel> demo_ = load_demo(1);
  absl::Status broken_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(GatewayTest, GoesOnWithATextAsGenerateDoes) {
  GenerateRequest request;
  request.max_tokens = 12;
  const Json json = complete(R"(,"max_tokens":12)");
  EXPECT_EQ(json["choices"][0]["text"], here("Once upon a time", request).text);
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["usage"]["completion_tokens"], 12);
  EXPECT_EQ(json["model"], "demo");
}

TEST_F(GatewayTest, AnswersMessagesByTheModelsTemplate) {
  const Json json =
      json_of(ask(post("/v1/chat/completions",
                       std::string("{") + kMessages + R"(,"max_tokens":8,"temperature":0})")));
  GenerateRequest request;
  request.max_tokens = 8;
  EXPECT_EQ(json["choices"][0]["message"]["content"], here("Once upon a time\n", request).text);
  EXPECT_EQ(json["choices"][0]["message"]["role"], "assistant");
}

TEST_F(GatewayTest, TheSameSeedGivesTheSameTextAndChoicesDiffer) {
  const std::string asked = R"(,"temperature":1,"seed":7,"n":2,"max_tokens":10)";
  const Json first = complete(asked), second = complete(asked);
  EXPECT_EQ(first["choices"], second["choices"]);
  EXPECT_NE(first["choices"][0]["text"], first["choices"][1]["text"]);
  EXPECT_EQ(first["usage"]["completion_tokens"], 20);
  EXPECT_EQ(first["usage"]["prompt_tokens"], complete("")["usage"]["prompt_tokens"]);
}

TEST_F(GatewayTest, SeveralPromptsAreSeveralChoices) {
  const Json json = json_of(ask(
      post("/v1/completions", R"({"prompt":["Once upon a time","The wolf"],"temperature":0})")));
  ASSERT_EQ(json["choices"].size(), 2u);
  GenerateRequest request;
  request.max_tokens = 16;
  EXPECT_EQ(json["choices"][1]["text"], here("The wolf", request).text);
}

TEST_F(GatewayTest, StopsAreToldAndLeftOut) {
  const std::string text = complete(R"(,"max_tokens":12)")["choices"][0]["text"];
  const std::string stop = text.substr(6, 4);
  const Json cut = complete(R"(,"max_tokens":12,"stop":)" + Json(stop).dump())["choices"][0];
  EXPECT_EQ(cut["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(cut["finish_reason"], "stop");
  EXPECT_EQ(cut["stop_reason"], stop);
  GenerateRequest request;
  request.max_tokens = 12;
  const std::vector<std::int32_t> ids = here("Once upon a time", request).ids;
  const Json by_id = complete(R"(,"max_tokens":12,"stop_token_ids":[)" + std::to_string(ids[3]) +
                              "]")["choices"][0];
  EXPECT_EQ(by_id["stop_reason"], ids[3]);
  EXPECT_EQ(by_id["text"], *demo_->tokenizer->decode(std::span(ids).first(3)));
}

TEST_F(GatewayTest, BiasAndPenaltiesChangeWhatIsChosen) {
  GenerateRequest request;
  request.max_tokens = 1;
  const std::int32_t first = here("Once upon a time", request).ids[0];
  const std::string plain = complete(R"(,"max_tokens":1)")["choices"][0]["text"];
  const std::string biased = complete(R"(,"max_tokens":1,"logit_bias":{")" + std::to_string(first) +
                                      R"(":-100})")["choices"][0]["text"];
  EXPECT_NE(plain, biased);
  EXPECT_NE(complete(R"(,"max_tokens":100)")["choices"],
            complete(R"(,"max_tokens":100,"frequency_penalty":2)")["choices"]);
}

TEST_F(GatewayTest, LogprobsOfThePromptAreThoseOfOneTokenAfterTheOther) {
  const Json json = complete(R"(,"max_tokens":4,"echo":true,"logprobs":2)")["choices"][0];
  EXPECT_TRUE(std::string(json["text"]).starts_with("Once upon a time"));
  const Json& list = json["logprobs"];
  const auto ids = *demo_->tokenizer->encode("Once upon a time");
  ASSERT_EQ(list["tokens"].size(), ids.size() + 4);
  ASSERT_EQ(list["top_logprobs"].size(), ids.size() + 4);
  EXPECT_TRUE(list["token_logprobs"][0].is_null());
  base::StopToken stop;
  auto pipeline = LocalPipeline::create(*demo_, 64, stop);
  std::vector<float> logits(demo_->vocabulary());
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const auto row = (*pipeline)->append(std::span(ids).subspan(i, 1), RowsWanted::kLast);
    demo_->logits(*row, logits);
    EXPECT_EQ(list["token_logprobs"][i + 1], score_token(logits, ids[i + 1], 0).token.logprob);
  }
  // Greedy: each generated token is the likeliest.
  for (std::size_t i = ids.size(); i < list["tokens"].size(); ++i) {
    for (const auto& [text, logprob] : list["top_logprobs"][i].items()) {
      EXPECT_LE(logprob, list["token_logprobs"][i]);
    }
  }
  // Nothing new: the prompt's alone.
  const Json none = complete(R"(,"max_tokens":0,"echo":true,"logprobs":0)")["choices"][0];
  EXPECT_EQ(none["text"], "Once upon a time");
  EXPECT_EQ(none["logprobs"]["tokens"].size(), ids.size());
}

TEST_F(GatewayTest, AStreamSaysWhatAWholeAnswerSays) {
  const auto reply = begin(post(
      "/v1/chat/completions",
      std::string("{") + kMessages +
          R"(,"max_tokens":10,"temperature":0,"stream":true,"logprobs":true,"top_logprobs":1,"stream_options":{"include_usage":true}})"));
  ASSERT_TRUE(reply->finishes_within(20'000));
  std::string text, bytes = reply->bytes();
  std::size_t scores = 0;
  Json last;
  while (bytes.starts_with("data: {")) {
    const std::size_t end = bytes.find("\n\n");
    last = Json::parse(bytes.substr(6, end - 6));
    bytes.erase(0, end + 2);
    if (last["choices"].empty()) continue;
    text += last["choices"][0]["delta"].value("content", "");
    if (last["choices"][0]["logprobs"].is_object()) {
      scores += last["choices"][0]["logprobs"]["content"].size();
    }
  }
  EXPECT_EQ(bytes, "data: [DONE]\n\n");
  EXPECT_EQ(last["usage"]["completion_tokens"], 10);
  EXPECT_EQ(scores, 10u);
  GenerateRequest request;
  request.max_tokens = 10;
  EXPECT_EQ(text, here("Once upon a time\n", request).text);
}

TEST_F(GatewayTest, ModelsVersionAndHealth) {
  const HttpRequest get{"GET", "/v1/models", "localhost", "", "", "", ""};
  const Json list = json_of(ask(get));
  EXPECT_EQ(list["data"][0]["id"], "demo");
  EXPECT_EQ(list["data"][0]["root"], "demo");
  EXPECT_EQ(list["data"][0]["max_model_len"], demo_->config.max_positions);
  const auto at = [&](const char* path) {
    HttpRequest request = get;
    request.path = path;
    return ask(request);
  };
  EXPECT_EQ(json_of(at("/v1/models/demo"))["id"], "demo");
  expect_error(at("/v1/models/other"), 404, "model_not_found");
  EXPECT_EQ(json_of(at("/version"))["version"], "1");
  EXPECT_EQ(at("/health").status, 200);
  broken_ = absl::FailedPreconditionError("no chain");
  std::this_thread::sleep_for(std::chrono::milliseconds(1'100));  // it looks once a second
  EXPECT_EQ(at("/ping").status, 503);
}

TEST_F(GatewayTest, TokensThereAndBack) {
  const Json json = json_of(ask(post("/tokenize", R"({"prompt":"Once upon"})")));
  EXPECT_EQ(json["tokens"], Json(*demo_->tokenizer->encode("Once upon")));
  EXPECT_EQ(json["count"], json["tokens"].size());
  const Json chat = json_of(ask(post("/tokenize", std::string("{") + kMessages + "}")));
  const Json back =
      json_of(ask(post("/detokenize", R"({"tokens":)" + chat["tokens"].dump() + "}")));
  EXPECT_THAT(back["prompt"].get<std::string>(), HasSubstr("Once upon a time\n"));
}

TEST_F(GatewayTest, WrongRequestsAreTold) {
  expect_error(ask({"GET", "/nowhere", "", "", "", "", ""}), 404, "not_found");
  const HttpResponse wrong = ask({"GET", "/v1/completions", "", "", "", "", ""});
  expect_error(wrong, 405, "method_not_allowed");
  EXPECT_EQ(wrong.headers.back(), (std::pair<std::string, std::string>("Allow", "POST")));
  expect_error(ask({"POST", "/v1/completions", "", "", "text/plain", "", "{}"}), 415,
               "invalid_request");
  expect_error(ask(post("/v1/completions", "{")), 400, "invalid_value");
  expect_error(ask(post("/v1/completions", R"({"prompt":"a","model":"other"})")), 404,
               "model_not_found");
  expect_error(ask(post("/v1/completions", R"({"prompt":[9999999]})")), 400, "invalid_value");
  expect_error(ask(post("/v1/completions", R"({"prompt":["a","b"],"n":3})")), 400, "invalid_value");
  std::string ids;
  for (std::int64_t i = 0; i < demo_->config.max_positions; ++i) ids += "5,";
  expect_error(ask(post("/v1/completions", R"({"prompt":[)" + ids + "5]}")), 400,
               "context_length_exceeded");
  expect_error(ask({"GET", "/version", "evil.example", "", "", "", ""}), 403, "forbidden_host");
  build({}, /*with_template=*/false);
  expect_error(ask(post("/v1/chat/completions", std::string("{") + kMessages + "}")), 400,
               "no_chat_template");
}

TEST_F(GatewayTest, KeysGuardEveryPathThatInfers) {
  build({"secret"});
  for (const char* path : {"/v1/chat/completions", "/v1/completions", "/invocations", "/tokenize",
                           "/detokenize", "/nowhere"}) {
    expect_error(ask(post(path, "{}")), 401, "invalid_api_key");
  }
  expect_error(ask({"GET", "/v1/models", "any.name", "Bearer wrong", "", "", ""}), 401,
               "invalid_api_key");
  EXPECT_EQ(ask({"GET", "/v1/models", "any.name", "Bearer secret", "", "", ""}).status, 200);
  EXPECT_EQ(ask({"GET", "/health", "any.name", "", "", "", ""}).status, 200);
}

TEST_F(GatewayTest, WhatTheSwarmCannotDoNowIsNotTheClientsFault) {
  broken_ = absl::UnavailableError("no node serves blocks 0..3");
  const HttpResponse response = ask(post("/v1/completions", R"({"prompt":"a"})"));
  expect_error(response, 503, "unavailable");
  EXPECT_THAT(response.body, HasSubstr("blocks 0..3"));
}

TEST_F(GatewayTest, WhatIsTooMuchIsRefusedAndWhoLeavesMakesRoom) {
  const std::string body =
      std::string("{") + kStory + R"(,"max_tokens":1000,"ignore_eos":true,"stream":true})";
  std::vector<std::shared_ptr<FakeReply>> all;
  for (int i = 0; i < 4; ++i) all.push_back(begin(post("/v1/completions", body)));
  ASSERT_TRUE(all[0]->writes_within(20'000));
  const HttpResponse refused = ask(post("/v1/completions", body));
  expect_error(refused, 429, "queue_full");
  all[3]->leave();  // it only waited
  all.push_back(begin(post("/v1/completions", body)));
  EXPECT_FALSE(all[4]->finished());
  for (const auto& reply : all) reply->leave();
  for (int i = 0; i < 5'000 && engine_->unfinished() > 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(engine_->unfinished(), 0u);
}

TEST_F(GatewayTest, TheEndIsToldToAllWhoWait) {
  const std::string body = std::string("{") + kStory + R"(,"max_tokens":1000,"ignore_eos":true)";
  const auto streams = begin(post("/v1/completions", body + R"(,"stream":true})"));
  const auto waits = begin(post("/v1/completions", body + "}"));
  ASSERT_TRUE(streams->writes_within(20'000));
  engine_->stop();
  EXPECT_THAT(streams->bytes(), HasSubstr("shutting down"));
  EXPECT_TRUE(streams->bytes().ends_with("data: [DONE]\n\n"));
  EXPECT_EQ(waits->response().status, 503);
  expect_error(ask(post("/v1/completions", body + "}")), 503, "unavailable");
}

}  // namespace
}  // namespace shoal::client
