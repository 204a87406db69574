// SPDX-License-Identifier: Apache-2.0
// What a request may say, field by field.
#include "client/serve/api_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/serve/api_error.h"
#include "client/serve/api_fields.h"
#include "client/serve/api_key.h"

namespace shoal::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr const char* kHello = R"("messages":[{"role":"user","content":"hi"}])";

absl::StatusOr<GenerationQuery> chat(const std::string& more) {
  const auto body = parse_body(std::string("{") + kHello + more + "}");
  return body.ok() ? read_chat(*body) : body.status();
}
absl::StatusOr<GenerationQuery> completion(const std::string& fields) {
  const auto body = parse_body("{" + fields + "}");
  return body.ok() ? read_completion(*body) : body.status();
}
ApiError error_of(const absl::Status& status) { return api_error(status); }

TEST(ApiRequest, ALeastChatAndItsDefaults) {
  const auto query = chat("");
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_TRUE(query->chat);
  EXPECT_EQ(query->n, 1);
  EXPECT_EQ(query->max_tokens, std::nullopt);
  EXPECT_EQ(query->top_logprobs, std::nullopt);
  EXPECT_FALSE(query->stream || query->include_usage || query->echo || query->ignore_eos);
  const auto& messages = std::get<ApiMessages>(query->prompts.at(0));
  EXPECT_TRUE(messages.add_generation_prompt);
  EXPECT_EQ(messages.messages[0]["content"], "hi");
}

TEST(ApiRequest, EveryFieldIsRead) {
  const auto query = chat(
      R"(,"model":"m","n":3,"max_tokens":5,"max_completion_tokens":7,"temperature":0.5,"top_p":0.9,
      "top_k":-1,"min_p":0.1,"repetition_penalty":1.1,"presence_penalty":-2,"frequency_penalty":2,
      "logit_bias":{"5":-100,"7":500},"seed":-1,"stop":["a","b"],"stop_token_ids":[3,4.0],
      "ignore_eos":true,"logprobs":true,"top_logprobs":2,"stream":true,"min_tokens":2,
      "stream_options":{"include_usage":true},"user":"me","chat_template_kwargs":{"x":1},
      "tools":[],"tool_choice":"none","response_format":{"type":"text"},"unheard_of":{"a":[1]})");
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->model, "m");
  EXPECT_EQ(query->n, 3);
  EXPECT_EQ(query->choices(), 3u);
  EXPECT_EQ(query->max_tokens, 7);
  EXPECT_EQ(query->sampling.top_k, 0);
  EXPECT_EQ(query->sampling.presence_penalty, -2);
  EXPECT_EQ(query->sampling.frequency_penalty, 2);
  EXPECT_THAT(query->sampling.logit_bias, ElementsAre(Pair(5, -100.0), Pair(7, 100.0)));
  EXPECT_EQ(query->seed, 0xffff'ffff'ffff'ffffu);
  EXPECT_THAT(query->stops, ElementsAre("a", "b"));
  EXPECT_THAT(query->stop_ids, ElementsAre(3, 4));
  EXPECT_EQ(query->top_logprobs, 2);
  EXPECT_TRUE(query->stream && query->include_usage && query->ignore_eos);
  EXPECT_EQ(std::get<ApiMessages>(query->prompts[0]).template_arguments["x"], 1);
}

TEST(ApiRequest, NullIsAsIfItWereNotThere) {
  EXPECT_TRUE(chat(R"(,"temperature":null,"tools":null,"stop":null,"logit_bias":null,"n":null,
      "stream_options":null,"response_format":null,"logprobs":null,"max_tokens":null)")
                  .ok());
}

TEST(ApiRequest, WhatIsWrongIsNamed) {
  for (const auto& [fields, param] : std::vector<std::pair<std::string, std::string>>{
           {R"("temperature":-1)", "temperature"},
           {R"("temperature":"1")", "temperature"},
           {R"("top_p":0)", "top_p"},
           {R"("top_p":1.5)", "top_p"},
           {R"("n":0)", "n"},
           {R"("n":129)", "n"},
           {R"("n":1.5)", "n"},
           {R"("max_tokens":0)", "max_tokens"},
           {R"("max_tokens":1e300)", "max_tokens"},
           {R"("presence_penalty":3)", "presence_penalty"},
           {R"("logit_bias":[1])", "logit_bias"},
           {R"("logit_bias":{"a":1})", "logit_bias"},
           {R"("logit_bias":{"1":"a"})", "logit_bias"},
           {R"("stop":7)", "stop"},
           {R"("stop":["a",7])", "stop"},
           {R"("stop":"")", "stop"},
           {R"("stop_token_ids":[-1])", "stop_token_ids"},
           {R"("stream":1)", "stream"},
           {R"("stream_options":{})", "stream_options"},
           {R"("top_logprobs":2)", "top_logprobs"},
           {R"("logprobs":true,"top_logprobs":21)", "top_logprobs"},
           {R"("seed":"x")", "seed"},
           {R"("model":7)", "model"},
           {R"("chat_template_kwargs":7)", "chat_template_kwargs"}}) {
    const auto query = chat("," + fields);
    ASSERT_FALSE(query.ok()) << fields;
    const ApiError error = error_of(query.status());
    EXPECT_EQ(error.status, 400) << fields;
    EXPECT_EQ(error.param, param) << fields;
    EXPECT_EQ(error.type, "invalid_request_error");
    EXPECT_THAT(error.message, HasSubstr(param));
    EXPECT_TRUE(error.code);
  }
}

TEST(ApiRequest, WhatWouldChangeTheAnswerAndIsNotDoneIsRefusedByName) {
  for (const std::string field :
       {R"("functions":[{}])", R"("response_format":{"type":"structural_tag"})",
        R"("guided_grammar":"x")", R"("best_of":2)", R"("use_beam_search":true)",
        R"("modalities":["audio"])", R"("chat_template":"x")", R"("echo":true)",
        R"("prompt_logprobs":1)"}) {
    const auto query = chat("," + field);
    ASSERT_FALSE(query.ok()) << field;
    const ApiError error = error_of(query.status());
    EXPECT_EQ(error.status, 400);
    EXPECT_EQ(error.code, "unsupported_parameter") << field;
    EXPECT_EQ(error.param, field.substr(1, field.find('"', 1) - 1));
  }
}

TEST(ApiRequest, MessagesAreTextsOrPartsOfText) {
  const auto read = [](const std::string& messages) {
    const auto body = parse_body(R"({"messages":)" + messages + "}");
    return body.ok() ? read_chat(*body) : body.status();
  };
  const auto parts = read(
      R"([{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}])");
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(std::get<ApiMessages>(parts->prompts[0]).messages[0]["content"], "a\nb");
  EXPECT_TRUE(read(R"([{"role":"assistant","content":null}])").ok());
  const auto image = read(R"([{"role":"user","content":[{"type":"image_url","image_url":{}}]}])");
  EXPECT_EQ(error_of(image.status()).param, "messages[0].content");
  EXPECT_THAT(error_of(image.status()).message, HasSubstr("image_url"));
  for (const char* wrong :
       {"7", "[]", "[7]", "[{}]", R"([{"role":7}])", R"([{"role":"user","content":7}])",
        R"([{"role":"user","content":[{"type":7,"text":"a"}]}])"}) {
    EXPECT_FALSE(read(wrong).ok()) << wrong;
  }
}

TEST(ApiRequest, PromptsAreTextsOrIdsOneOrSeveral) {
  EXPECT_EQ(completion(R"("prompt":"a")")->prompts.size(), 1u);
  EXPECT_EQ(completion(R"("prompt":["a","b"])")->prompts.size(), 2u);
  EXPECT_EQ(std::get<std::vector<std::int32_t>>(completion(R"("prompt":[1,2])")->prompts[0]),
            (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(completion(R"("prompt":[[1],[2,3]],"n":2)")->choices(), 4u);
  for (const char* wrong : {R"("a":1)", R"("prompt":7)", R"("prompt":[])", R"("prompt":[[]])",
                            R"("prompt":["a",1])", R"("prompt":[1,"a"])", R"("prompt":[[1],"a"])",
                            R"("prompt":[1.5])", R"("prompt":[99999999999])"}) {
    const auto query = completion(wrong);
    ASSERT_FALSE(query.ok()) << wrong;
    EXPECT_EQ(error_of(query.status()).param, "prompt");
  }
}

TEST(ApiRequest, CompletionsHaveDefaultsOfTheirOwn) {
  const auto query = completion(R"("prompt":"a")");
  EXPECT_EQ(query->max_tokens, 16);
  EXPECT_FALSE(query->chat);
  const auto echo = completion(R"("prompt":"a","max_tokens":0,"echo":true,"logprobs":0)");
  ASSERT_TRUE(echo.ok()) << echo.status();
  EXPECT_EQ(echo->top_logprobs, 0);
  EXPECT_FALSE(completion(R"("prompt":"a","max_tokens":0)").ok());
  EXPECT_FALSE(completion(R"("prompt":"a","suffix":"b")").ok());
}

TEST(ApiRequest, BodiesThatAreNoBoundedJsonAreRefused) {
  for (const std::string& body :
       {std::string(), std::string("["), std::string("[]"), std::string("null"),
        std::string("{\"a\":\"\xff\"}"), std::string("{\"a\":\"\\ud800\"}"),
        std::string("{\"a\":NaN}"), std::string("{} {}"),
        "{\"a\":" + std::string(1'000'000, '[') + "}",
        "{\"a\":[" + std::string(2'200'000, ',') + "]}"}) {
    EXPECT_EQ(parse_body(body).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ApiRequest, SamplingIsTheModelsUnlessAskedOtherwise) {
  model::GenerationConfig config;
  config.temperature = 0.6;
  config.top_p = 0.9;
  const SamplingOptions own = sampling_of({}, config);
  EXPECT_FALSE(own.greedy);
  EXPECT_EQ(own.temperature, 0.6);
  EXPECT_EQ(own.top_p, 0.9);
  ApiSampling asked;
  asked.temperature = 0;
  asked.min_tokens = 3;
  asked.logit_bias = {{4, 1.5}};
  const SamplingOptions other = sampling_of(asked, config);
  EXPECT_TRUE(other.greedy);
  EXPECT_EQ(other.rules.min_new_tokens, 3);
  EXPECT_EQ(other.rules.sequence_bias.at(0).bias, 1.5);
}

TEST(ApiRequest, TokenizeTakesAPromptOrMessages) {
  const auto read = [](const std::string& body) { return read_tokenize(*parse_body(body)); };
  EXPECT_TRUE(read(R"({"prompt":"a","add_special_tokens":false})").ok());
  const auto messages =
      read(R"({"messages":[{"role":"user","content":"a"}],"add_generation_prompt":false})");
  EXPECT_FALSE(std::get<ApiMessages>(messages->prompt).add_generation_prompt);
  EXPECT_FALSE(read("{}").ok());
  EXPECT_FALSE(read(R"({"messages":[{"role":"user"}],"tools":[{}]})").ok());
  const auto tools = read(
      R"({"messages":[{"role":"user"}],"tools":[{"type":"function","function":{"name":"f"}}]})");
  EXPECT_EQ(std::get<ApiMessages>(tools->prompt).tools.size(), 1u);
  EXPECT_EQ(read_detokenize(*parse_body(R"({"tokens":[1,2]})"))->tokens.size(), 2u);
  EXPECT_FALSE(read_detokenize(*parse_body("{}")).ok());
}

TEST(ApiKey, OnlyTheWholeKeyCounts) {
  const std::vector<std::string> keys{"one", "another"};
  EXPECT_TRUE(is_authorized("Bearer one", keys));
  EXPECT_TRUE(is_authorized("bearer another", keys));
  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer on", "Bearer onee", "Bearer One",
                            "Basic one", "one", "Bearer  one"}) {
    EXPECT_FALSE(is_authorized(wrong, keys)) << wrong;
  }
}

TEST(ApiKey, HostsThatAreAddressesOrLocalhost) {
  for (const char* host :
       {"", "localhost", "LOCALHOST:8000", "127.0.0.1:8000", "10.0.0.7", "[::1]:80"}) {
    EXPECT_TRUE(is_plain_host(host)) << host;
  }
  for (const char* host : {"evil.example", "evil.example:8000", "localhost.evil.example"}) {
    EXPECT_FALSE(is_plain_host(host)) << host;
  }
}

}  // namespace
}  // namespace shoal::client
