// SPDX-License-Identifier: Apache-2.0
// The bodies and stream events of OpenAI's API, from plain values. Pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/serve/answer_sink.h"
#include "client/serve/api_error.h"

namespace shoal::client {

// What is the same in all parts of one answer.
struct AnswerFacts {
  bool chat = false;
  std::string id;            // "chatcmpl-..." or "cmpl-..."
  std::int64_t created = 0;  // seconds since 1970
  std::string model, fingerprint;
};

struct Usage {
  std::int64_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
};

// {"content": [...]} of a chat; of a completion lists of tokens, whose places in the text are
// counted in characters from `offset` on, which moves behind them. Null for no tokens.
nlohmann::ordered_json logprobs_json(bool chat, const std::vector<ScoredToken>& tokens,
                                     std::size_t* offset);

// Where they were asked for: of the part of the text that they come with, and of the prompt with
// its first part.
struct TokenIds {
  nlohmann::ordered_json text, prompt;  // null: not asked for
};

// A function that the model calls.
struct ToolCall {
  std::string id, name, arguments;
};

nlohmann::ordered_json choice_json(bool chat, std::size_t index, const std::string& text,
                                   const std::vector<ToolCall>& calls,
                                   nlohmann::ordered_json logprobs, const ChoiceEnd& end,
                                   TokenIds ids = {});
std::string answer_body(const AnswerFacts& facts, nlohmann::ordered_json choices,
                        const Usage& usage);

// "data: {...}\n\n". With with_usage, chunks say that there is no usage yet.
std::string role_event(const AnswerFacts& facts, std::size_t index, bool with_usage);
std::string text_event(const AnswerFacts& facts, std::size_t index, const std::string& text,
                       nlohmann::ordered_json logprobs, bool with_usage, TokenIds ids = {});
// A call begins, or its arguments go on: then with arguments alone.
std::string call_event(const AnswerFacts& facts, std::size_t index, std::size_t call,
                       const ToolCall& part, nlohmann::ordered_json logprobs, bool with_usage);
std::string end_event(const AnswerFacts& facts, std::size_t index, const std::string& text,
                      nlohmann::ordered_json logprobs, const ChoiceEnd& end, bool with_usage,
                      TokenIds ids = {});
std::string usage_event(const AnswerFacts& facts, const Usage& usage);
std::string error_event(const ApiError& error);
inline constexpr const char* kDoneEvent = "data: [DONE]\n\n";

std::string to_text(const nlohmann::ordered_json& json);

}  // namespace shoal::client
