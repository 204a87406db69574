// SPDX-License-Identifier: Apache-2.0
// What clients of vLLM ask for beyond OpenAI's API, and what is counted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/serve/demo_gateway.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;

class Fields : public ::testing::Test {
 protected:
  Json complete(const Json& more) {
    Json body = {{"prompt", "Once upon a time"}, {"temperature", 0}, {"max_tokens", 12}};
    body.update(more);
    return gateway_.ask("/v1/completions", body);
  }
  std::string decode(const std::vector<std::int32_t>& ids) {
    return *gateway_.demo().tokenizer->decode(ids, /*skip_special_tokens=*/false);
  }
  DemoGateway gateway_;
  const GenerateResult plain_ = gateway_.here("Once upon a time", 12);
};

TEST_F(Fields, IdsBesideTheText) {
  const auto prompt = *gateway_.demo().tokenizer->encode("Once upon a time");
  const Json choice = complete({{"return_token_ids", true}})["choices"][0];
  EXPECT_EQ(choice["token_ids"], Json(plain_.ids));
  EXPECT_EQ(choice["prompt_token_ids"], Json(prompt));
  EXPECT_FALSE(complete(Json::object())["choices"][0].contains("token_ids"));
  // In a stream all of them come, with the pieces of text; those of the prompt once.
  const auto reply = gateway_.post("/v1/completions", {{"prompt", "Once upon a time"},
                                                       {"temperature", 0},
                                                       {"max_tokens", 12},
                                                       {"stream", true},
                                                       {"return_token_ids", true}});
  std::vector<std::int32_t> ids;
  int prompts = 0;
  std::string bytes = reply->bytes();
  while (bytes.starts_with("data: {")) {
    const std::size_t end = bytes.find("\n\n");
    const Json event = Json::parse(bytes.substr(6, end - 6))["choices"][0];
    bytes.erase(0, end + 2);
    for (const std::int32_t id : event["token_ids"]) ids.push_back(id);
    if (event.contains("prompt_token_ids")) ++prompts;
  }
  EXPECT_EQ(ids, plain_.ids);
  EXPECT_EQ(prompts, 1);
  const Json named = complete({{"return_tokens_as_token_ids", true}, {"logprobs", 1}});
  EXPECT_EQ(named["choices"][0]["logprobs"]["tokens"][0],
            "token_id:" + std::to_string(plain_.ids[0]));
}

TEST_F(Fields, WordsThatMayNotComeAndIdsThatAloneMay) {
  const std::string first = decode({plain_.ids[0]});
  EXPECT_FALSE(
      complete({{"bad_words", {first}}})["choices"][0]["text"].get<std::string>().starts_with(
          first));
  const std::vector<std::int32_t> allowed{plain_.ids[3], plain_.ids[4]};
  const Json ids = complete({{"allowed_token_ids", allowed},
                             {"return_token_ids", true},
                             {"ignore_eos", true}})["choices"][0]["token_ids"];
  ASSERT_EQ(ids.size(), 12u);
  for (const std::int32_t id : ids) EXPECT_THAT(allowed, ::testing::Contains(id));
  EXPECT_EQ(
      gateway_.post("/v1/completions", {{"prompt", "a"}, {"allowed_token_ids", {99'999'999}}})
          ->response()
          .status,
      400);
}

TEST_F(Fields, WhatEndsATextMayBeAPartOfIt) {
  const std::string stop = plain_.text.substr(6, 4);
  const std::size_t end = plain_.text.find(stop) + stop.size();
  EXPECT_EQ(complete({{"stop", stop}, {"include_stop_str_in_output", true}})["choices"][0]["text"],
            plain_.text.substr(0, end));
  const std::vector<std::int32_t> four(plain_.ids.begin(), plain_.ids.begin() + 4);
  EXPECT_EQ(complete({{"stop_token_ids", {four[3]}},
                      {"include_stop_str_in_output", true}})["choices"][0]["text"],
            decode(four));
}

TEST_F(Fields, ControlTokensAreTextWhereTheyAreAskedFor) {
  // Nothing else may come: the end of the text, again and again.
  const std::int32_t eos = gateway_.demo().eos_ids.front();
  const Json asked = {{"allowed_token_ids", {eos}}, {"ignore_eos", true}, {"max_tokens", 2}};
  EXPECT_EQ(complete(asked)["choices"][0]["text"], "");
  Json shown = asked;
  shown["skip_special_tokens"] = false;
  EXPECT_EQ(complete(shown)["choices"][0]["text"], decode({eos, eos}));
  shown["ignore_eos"] = false;  // then it ends the text, and is no part of it
  EXPECT_EQ(complete(shown)["choices"][0]["text"], "");
}

TEST_F(Fields, ThePromptsEndIsKept) {
  const auto prompt = *gateway_.demo().tokenizer->encode("Once upon a time");
  const Json cut = complete({{"truncate_prompt_tokens", 2}, {"return_token_ids", true}});
  EXPECT_EQ(cut["choices"][0]["prompt_token_ids"],
            Json(std::vector<std::int32_t>(prompt.end() - 2, prompt.end())));
  const std::vector<std::int32_t> long_ids(2'000, 5);
  EXPECT_EQ(
      complete({{"prompt", long_ids}, {"truncate_prompt_tokens", -1}})["usage"]["prompt_tokens"],
      1023);
}

TEST_F(Fields, AMessageIsContinued) {
  const auto ids_of = [&](const std::string& last, const Json& more) {
    Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "Tell me."}},
                                           {{"role", "assistant"}, {"content", last}}})}};
    body.update(more);
    return gateway_.ask("/tokenize", body)["tokens"];
  };
  const std::string text = decode(ids_of("Once upon", {{"continue_final_message", true}}));
  EXPECT_TRUE(text.ends_with("Once upon")) << text;
  const std::string whole = decode(ids_of("Once upon", {{"add_generation_prompt", false}}));
  EXPECT_TRUE(whole.starts_with(text)) << whole;
  EXPECT_GT(whole.size(), text.size());
  EXPECT_EQ(
      gateway_
          .post("/tokenize", {{"messages", Json::array({{{"role", "user"}, {"content", "a"}}})},
                              {"continue_final_message", true},
                              {"add_generation_prompt", true}})
          ->response()
          .status,
      400);
}

TEST_F(Fields, WhatWasAnsweredIsCounted) {
  complete(Json::object());
  const HttpResponse response = gateway_.get("/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.content_type, HasSubstr("text/plain; version=0.0.4"));
  for (const char* line :
       {"shoal_serve_request_success_total{finished_reason=\"length\",model_name=\"demo\"} 1\n",
        "shoal_serve_request_success_total{finished_reason=\"error\",model_name=\"demo\"} 0\n",
        "shoal_serve_generation_tokens_total{model_name=\"demo\"} 12\n",
        "shoal_serve_prompt_tokens_total{model_name=\"demo\"} 5\n",
        "shoal_serve_time_to_first_token_seconds_count{model_name=\"demo\"} 1\n",
        "shoal_serve_inter_token_latency_seconds_count{model_name=\"demo\"} 11\n",
        "shoal_serve_request_generation_tokens_bucket{model_name=\"demo\",le=\"20\"} 1\n",
        "shoal_serve_num_requests_waiting{model_name=\"demo\"} 0\n",
        "# TYPE shoal_serve_e2e_request_latency_seconds histogram\n"}) {
    EXPECT_NE(response.body.find(line), std::string::npos) << line;
  }
  gateway_.broken = absl::UnavailableError("nobody");
  gateway_.post("/v1/completions", {{"prompt", "a"}});
  EXPECT_THAT(
      gateway_.get("/metrics").body,
      HasSubstr("shoal_serve_request_success_total{finished_reason=\"error\",model_name=\"demo\"} "
                "1\n"));
}

}  // namespace
}  // namespace shoal::client
