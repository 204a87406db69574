// SPDX-License-Identifier: Apache-2.0
#include "client/serve/api_response.h"

#include <algorithm>

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

Json bytes_of(const std::string& text) {
  Json bytes = Json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

Json chat_token(const std::string& text, double logprob) {
  return {{"token", text}, {"logprob", logprob}, {"bytes", bytes_of(text)}};
}

Json usage_json(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

Json envelope(const AnswerFacts& facts, const char* chat_object) {
  return {{"id", facts.id},
          {"object", facts.chat ? chat_object : "text_completion"},
          {"created", facts.created},
          {"model", facts.model},
          {"system_fingerprint", facts.fingerprint}};
}

std::string event(const Json& json) { return "data: " + to_text(json) + "\n\n"; }

std::string chunk_event(const AnswerFacts& facts, Json choice, bool with_usage) {
  Json json = envelope(facts, "chat.completion.chunk");
  json["choices"] = Json::array({std::move(choice)});
  if (with_usage) json["usage"] = nullptr;
  return event(json);
}

void add_ids(Json& choice, TokenIds ids) {
  if (!ids.text.is_null()) choice["token_ids"] = std::move(ids.text);
  if (!ids.prompt.is_null()) choice["prompt_token_ids"] = std::move(ids.prompt);
}

Json chunk_choice(const AnswerFacts& facts, std::size_t index, const std::string& text,
                  Json logprobs, TokenIds ids) {
  Json choice = {{"index", index}};
  if (facts.chat) {
    choice["delta"] = {{"content", text}};
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = std::move(logprobs);
  choice["finish_reason"] = nullptr;
  add_ids(choice, std::move(ids));
  return choice;
}

}  // namespace

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json logprobs_json(bool chat, const std::vector<ScoredToken>& tokens, std::size_t* offset) {
  if (tokens.empty()) return nullptr;
  if (chat) {
    Json content = Json::array();
    for (const ScoredToken& token : tokens) {
      Json item = chat_token(token.text, token.logprob.value_or(0));
      item["top_logprobs"] = Json::array();
      for (const auto& [text, logprob] : token.top) {
        item["top_logprobs"].push_back(chat_token(text, logprob));
      }
      content.push_back(std::move(item));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }
  Json texts = Json::array(), logprobs = Json::array(), tops = Json::array(),
       offsets = Json::array();
  for (const ScoredToken& token : tokens) {
    texts.push_back(token.text);
    logprobs.push_back(token.logprob ? Json(*token.logprob) : Json());
    offsets.push_back(*offset);
    *offset += characters(token.text);
    if (!token.logprob) {
      tops.push_back(nullptr);
      continue;
    }
    // Of several tokens that read alike the likeliest counts; the chosen one is always there.
    Json top = Json::object();
    for (const auto& [text, logprob] : token.top) {
      if (!top.contains(text)) top[text] = logprob;
    }
    if (!top.contains(token.text)) top[token.text] = *token.logprob;
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json choice_json(bool chat, std::size_t index, const std::string& text,
                 const std::vector<ToolCall>& calls, Json logprobs, const ChoiceEnd& end,
                 TokenIds ids) {
  Json choice = {{"index", index}};
  if (chat) {
    const bool only_calls = text.empty() && !calls.empty();
    choice["message"] = {
        {"role", "assistant"}, {"content", only_calls ? Json() : Json(text)}, {"refusal", nullptr}};
    for (const ToolCall& call : calls) {
      choice["message"]["tool_calls"].push_back(
          {{"id", call.id},
           {"type", "function"},
           {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
  } else {
    choice["text"] = text;
  }
  choice["logprobs"] = std::move(logprobs);
  choice["finish_reason"] = end.finish_reason;
  choice["stop_reason"] = end.stop_reason;
  add_ids(choice, std::move(ids));
  return choice;
}

std::string answer_body(const AnswerFacts& facts, Json choices, const Usage& usage) {
  Json json = envelope(facts, "chat.completion");
  json["choices"] = std::move(choices);
  json["usage"] = usage_json(usage);
  return to_text(json);
}

std::string role_event(const AnswerFacts& facts, std::size_t index, bool with_usage) {
  Json choice = chunk_choice(facts, index, "", nullptr, {});
  choice["delta"] = {{"role", "assistant"}, {"content", ""}};
  return chunk_event(facts, std::move(choice), with_usage);
}

std::string text_event(const AnswerFacts& facts, std::size_t index, const std::string& text,
                       Json logprobs, bool with_usage, TokenIds ids) {
  return chunk_event(facts, chunk_choice(facts, index, text, std::move(logprobs), std::move(ids)),
                     with_usage);
}

std::string call_event(const AnswerFacts& facts, std::size_t index, std::size_t call,
                       const ToolCall& part, Json logprobs, bool with_usage) {
  Json entry = {{"index", call}};
  Json function = Json::object();
  if (!part.id.empty()) {
    entry["id"] = part.id;
    entry["type"] = "function";
    function["name"] = part.name;
  }
  function["arguments"] = part.arguments;
  entry["function"] = std::move(function);
  Json choice = chunk_choice(facts, index, "", std::move(logprobs), {});
  choice["delta"] = {{"tool_calls", Json::array({std::move(entry)})}};
  return chunk_event(facts, std::move(choice), with_usage);
}

std::string end_event(const AnswerFacts& facts, std::size_t index, const std::string& text,
                      Json logprobs, const ChoiceEnd& end, bool with_usage, TokenIds ids) {
  Json choice = chunk_choice(facts, index, text, std::move(logprobs), std::move(ids));
  choice["finish_reason"] = end.finish_reason;
  choice["stop_reason"] = end.stop_reason;
  return chunk_event(facts, std::move(choice), with_usage);
}

std::string usage_event(const AnswerFacts& facts, const Usage& usage) {
  Json json = envelope(facts, "chat.completion.chunk");
  json["choices"] = Json::array();
  json["usage"] = usage_json(usage);
  return event(json);
}

std::string error_event(const ApiError& error) { return "data: " + error_body(error) + "\n\n"; }

}  // namespace shoal::client
