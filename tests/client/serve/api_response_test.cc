// SPDX-License-Identifier: Apache-2.0
// Bodies and events as clients of OpenAI's API read them.
#include "client/serve/api_response.h"

#include <gtest/gtest.h>

#include "client/serve/answer.h"
#include "tests/client/serve/fake_reply.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using tests::FakeReply;

const AnswerFacts kChat{true, "chatcmpl-1", 1700000000, "m", "f"};
const AnswerFacts kText{false, "cmpl-1", 1700000000, "m", "f"};

std::vector<ScoredToken> two_tokens() {
  return {{"a", std::nullopt, {}}, {"é", -0.5, {{"b", -0.25}, {"b", -3.0}, {"é", -0.5}}}};
}

TEST(ApiResponse, ErrorsHaveAllFourKeys) {
  const Json json = Json::parse(error_body({400, "no", "invalid_request_error", {}, "bad"}));
  EXPECT_EQ(json, Json::parse(R"({"error":{"message":"no","type":"invalid_request_error",
      "param":null,"code":"bad"}})"));
  EXPECT_EQ(error_response(api_error(queue_full())).status, 429);
  EXPECT_EQ(api_error(absl::UnavailableError("x")).status, 503);
  EXPECT_EQ(api_error(absl::InternalError("x")).status, 500);
  EXPECT_EQ(api_error(unknown_model("a", "b")).param, "model");
  for (const auto& status : {queue_full(), absl::UnavailableError("x")}) {
    const HttpResponse response = error_response(api_error(status));
    EXPECT_EQ(response.headers.at(0).first, "Retry-After");
  }
}

TEST(ApiResponse, LogprobsOfAChat) {
  std::size_t offset = 0;
  const Json json = logprobs_json(true, {two_tokens()[1]}, &offset);
  const Json& token = json["content"][0];
  EXPECT_EQ(token["token"], "é");
  EXPECT_EQ(token["bytes"], Json::parse("[195,169]"));
  EXPECT_EQ(token["top_logprobs"][0]["logprob"], -0.25);
  EXPECT_TRUE(logprobs_json(true, {}, &offset).is_null());
}

TEST(ApiResponse, LogprobsOfACompletion) {
  std::size_t offset = 3;
  const Json json = logprobs_json(false, two_tokens(), &offset);
  EXPECT_EQ(json, Json::parse(R"({"tokens":["a","é"],"token_logprobs":[null,-0.5],
      "top_logprobs":[null,{"b":-0.25,"é":-0.5}],"text_offset":[3,4]})"));
  EXPECT_EQ(offset, 5u);  // characters, not bytes
}

TEST(ApiResponse, AStreamedChatEventByEvent) {
  auto reply = std::make_shared<FakeReply>();
  Answer answer(kChat, {1, true, true, {}}, reply);
  answer.prompt_tokens(9, 4);
  answer.text(0, "Hi");
  answer.end(0, {"stop", nullptr}, 3);
  const std::string head =
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":"f","choices":[)";
  EXPECT_EQ(
      reply->bytes(),
      head +
          R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null})"
          "\n\n" +
          head +
          R"({"index":0,"delta":{"content":"Hi"},"logprobs":null,"finish_reason":null}],"usage":null})"
          "\n\n" +
          head +
          R"({"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":null})"
          "\n\n" +
          head +
          R"(],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4}}})"
          "\n\ndata: [DONE]\n\n");
  EXPECT_TRUE(reply->finished());
}

TEST(ApiResponse, AStreamEndsWithDoneAlsoWhenItFails) {
  auto reply = std::make_shared<FakeReply>();
  Answer answer(kText, {2, true, false, {}}, reply);
  answer.text(1, "Hi");
  answer.fail(absl::UnavailableError("gone"));
  answer.text(0, "too late");
  answer.end(0, {"stop", nullptr}, 1);
  answer.fail(absl::InternalError("too late"));
  const std::string bytes = reply->bytes();
  EXPECT_NE(bytes.find(R"("choices":[{"index":1,"text":"Hi",)"), std::string::npos) << bytes;
  EXPECT_TRUE(bytes.ends_with(
      "data: {\"error\":{\"message\":\"gone\",\"type\":\"server_error\",\"param\":null,\"code\":"
      "\"unavailable\"}}\n\ndata: [DONE]\n\n"))
      << bytes;
  EXPECT_EQ(bytes.find("late"), std::string::npos);
}

TEST(ApiResponse, AFailureBeforeTheStreamIsAResponse) {
  auto reply = std::make_shared<FakeReply>();
  Answer answer(kText, {1, true, false, {{"X-Request-Id", "7"}}}, reply);
  answer.fail(absl::InvalidArgumentError("no"));
  EXPECT_EQ(reply->response().status, 400);
  EXPECT_EQ(reply->response().headers.back().second, "7");
  EXPECT_EQ(reply->bytes(), "");
}

TEST(ApiResponse, AWholeAnswerWaitsForAllChoices) {
  auto reply = std::make_shared<FakeReply>();
  Answer answer(kChat, {2, false, false, {}}, reply);
  answer.prompt_tokens(5, 0);
  answer.text(1, "B");
  answer.end(1, {"length", nullptr}, 1);
  EXPECT_FALSE(reply->finished());
  answer.score(0, {"A", -1.0, {}});
  answer.text(0, "A");
  answer.end(0, {"stop", "x"}, 2);
  const Json json = Json::parse(reply->response().body);
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "A");
  EXPECT_EQ(json["choices"][0]["logprobs"]["content"].size(), 1u);
  EXPECT_EQ(json["choices"][0]["stop_reason"], "x");
  EXPECT_EQ(json["choices"][1]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["total_tokens"], 8);
}

}  // namespace
}  // namespace shoal::client
