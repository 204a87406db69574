// SPDX-License-Identifier: Apache-2.0
#include "client/serve/api_request.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "client/serve/api_error.h"
#include "client/serve/api_fields.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxTokensAsked = 10'000'000;  // no context has more
constexpr std::size_t kMaxPromptIds = 1u << 20;
constexpr std::size_t kMaxStopIds = 128;
constexpr std::size_t kMaxStopBytes = 4096;
constexpr std::size_t kMaxBiases = 1024;
constexpr std::size_t kMaxBadWords = 128;
constexpr double kMaxBias = 100;
constexpr double kGreedyBelow = 1e-5;

// ---- what is refused

absl::Status check_unsupported(const ApiFields& fields) {
  // Each would change what comes out.
  for (const char* key :
       {"functions", "audio", "suffix", "use_beam_search", "prompt_embeds", "prompt_logprobs",
        "logits_processors", "chat_template", "web_search_options"}) {
    const Json* value = fields.find(key);
    if (value != nullptr && !is_nothing(*value)) {
      return unsupported_field(key, "is not supported by this server: leave it out");
    }
  }
  if (const Json* modalities = fields.find("modalities");
      modalities != nullptr && *modalities != Json::array({"text"})) {
    return unsupported_field("modalities", "other than text are not supported");
  }
  if (const Json* call = fields.find("function_call");
      call != nullptr && *call != "none" && *call != "auto") {
    return unsupported_field("function_call", "is not supported by this server: leave it out");
  }
  return absl::OkStatus();
}

// ---- messages

// Parts of text are joined, as templates want one text; other parts are refused.
absl::Status flatten_content(Json& message, std::size_t index) {
  const auto content = message.find("content");
  if (content == message.end() || !content->is_array()) return absl::OkStatus();
  const std::string param = fmt::format("messages[{}].content", index);
  std::string text;
  for (std::size_t i = 0; i < content->size(); ++i) {
    const Json& part = (*content)[i];
    const bool is_text = part.is_object() && part.contains("text") && part["text"].is_string() &&
                         part.value("type", Json("text")) == "text";
    if (!is_text) {
      const bool typed = part.is_object() && part.contains("type") && part["type"].is_string();
      return unsupported_field(
          param, fmt::format("has a part of the type {}: this model takes text only",
                             typed ? part["type"].get<std::string>().substr(0, 40) : "?"));
    }
    if (i > 0) text += "\n";
    text += part["text"].get<std::string>();
  }
  *content = std::move(text);
  return absl::OkStatus();
}

absl::StatusOr<ApiMessages> messages_of(ApiFields& fields) {
  const Json* list = fields.find("messages");
  if (list == nullptr || !list->is_array() || list->empty()) {
    return bad_field("messages", "expected a list of messages, at least one");
  }
  ApiMessages result;
  result.messages = *list;
  for (std::size_t i = 0; i < result.messages.size(); ++i) {
    Json& message = result.messages[i];
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string()) {
      return bad_field(fmt::format("messages[{}]", i), "expected an object with a role");
    }
    if (auto status = flatten_content(message, i); !status.ok()) return status;
    if (auto status = check_tool_calls(message, i); !status.ok()) return status;
    const auto content = message.find("content");
    if (content != message.end() && !content->is_string() && !content->is_null()) {
      return bad_field(fmt::format("messages[{}].content", i), "expected a text");
    }
  }
  result.continue_final = fields.boolean("continue_final_message", false);
  result.add_generation_prompt = fields.boolean("add_generation_prompt", !result.continue_final);
  if (result.continue_final && result.add_generation_prompt) {
    return bad_field("continue_final_message", "needs \"add_generation_prompt\": false");
  }
  if (const Json* documents = fields.find("documents")) result.documents = *documents;
  if (const Json* arguments = fields.find("chat_template_kwargs")) {
    if (!arguments->is_object()) return bad_field("chat_template_kwargs", "expected an object");
    result.template_arguments = *arguments;
  }
  return result;
}

// ---- prompts of completions

absl::Status add_prompt(const Json& prompt, const char* key, std::vector<ApiPrompt>& prompts) {
  if (prompt.is_string()) {
    prompts.emplace_back(prompt.get<std::string>());
    return absl::OkStatus();
  }
  auto ids = id_list(prompt, key, kMaxPromptIds);
  if (!ids.ok()) return ids.status();
  if (ids->empty()) return bad_field(key, "has no tokens: give it some text");
  prompts.emplace_back(*std::move(ids));
  return absl::OkStatus();
}

// ---- what both have

void read_bias(ApiFields& fields, ApiSampling& sampling) {
  const Json* biases = fields.find("logit_bias");
  if (biases == nullptr) return;
  if (!biases->is_object() || biases->size() > kMaxBiases) {
    return fields.fail(bad_field(
        "logit_bias", fmt::format("expected an object of at most {} token ids", kMaxBiases)));
  }
  for (const auto& [key, value] : biases->items()) {
    std::int32_t id = 0;
    const auto end = key.data() + key.size();
    const auto read = std::from_chars(key.data(), end, id);
    if (read.ec != std::errc() || read.ptr != end || id < 0 || !value.is_number()) {
      return fields.fail(bad_field("logit_bias", "expected numbers by token id"));
    }
    const double bias = std::clamp(value.get<double>(), -kMaxBias, kMaxBias);
    sampling.logit_bias.emplace_back(id, bias);
  }
}

void read_sampling(ApiFields& fields, ApiSampling& sampling) {
  constexpr double kSmallest = std::numeric_limits<double>::min();
  sampling.temperature = fields.number("temperature", 0, kMaxTemperature);
  sampling.top_p = fields.number("top_p", kSmallest, 1);
  sampling.min_p = fields.number("min_p", 0, 1);
  sampling.repetition_penalty =
      fields.number("repetition_penalty", kSmallest, kMaxRepetitionPenalty);
  sampling.top_k = fields.integer("top_k", -1, 1'000'000'000);
  if (sampling.top_k == -1) sampling.top_k = 0;
  sampling.presence_penalty =
      fields.number("presence_penalty", -kMaxPresencePenalty, kMaxPresencePenalty).value_or(0);
  sampling.frequency_penalty =
      fields.number("frequency_penalty", -kMaxPresencePenalty, kMaxPresencePenalty).value_or(0);
  sampling.min_tokens = fields.integer("min_tokens", 0, kMaxTokensAsked).value_or(0);
  read_bias(fields, sampling);
  if (auto allowed = fields.ids("allowed_token_ids", kMaxPromptIds)) {
    if (allowed->empty()) fields.fail(bad_field("allowed_token_ids", "expected at least one"));
    sampling.allowed_ids = *std::move(allowed);
  }
}

// What becomes of the text, and what is told beside it.
void read_text_options(ApiFields& fields, GenerationQuery& query) {
  query.bad_words = fields.texts("bad_words", kMaxBadWords);
  for (const std::string& word : query.bad_words) {
    if (word.empty() || word.size() > kMaxStopBytes) {
      fields.fail(
          bad_field("bad_words", fmt::format("a text must have 1 to {} bytes", kMaxStopBytes)));
    }
  }
  query.with_stop = fields.boolean("include_stop_str_in_output", false);
  query.special_tokens = !fields.boolean("skip_special_tokens", true);
  query.return_ids = fields.boolean("return_token_ids", false);
  query.ids_as_texts = fields.boolean("return_tokens_as_token_ids", false);
  query.truncate_to = fields.integer("truncate_prompt_tokens", -1, kMaxTokensAsked).value_or(0);
}

void read_common(ApiFields& fields, GenerationQuery& query) {
  query.model = fields.text("model").value_or("");
  query.n = fields.integer("n", 1, kMaxChoices).value_or(1);
  if (const auto best_of = fields.integer("best_of", 1, kMaxChoices);
      best_of && *best_of != query.n) {
    fields.fail(unsupported_field("best_of", "other than n is not supported by this server"));
  }
  const std::int64_t least = query.chat ? 1 : 0;
  query.max_tokens = fields.integer("max_tokens", least, kMaxTokensAsked);
  if (const auto most = fields.integer("max_completion_tokens", least, kMaxTokensAsked)) {
    query.max_tokens = most;
  }
  read_sampling(fields, query.sampling);
  if (const auto seed = fields.integer("seed", std::numeric_limits<std::int64_t>::min(),
                                       std::numeric_limits<std::int64_t>::max())) {
    query.seed = static_cast<std::uint64_t>(*seed);
  }
  query.stops = fields.texts("stop", kMaxStops);
  for (const std::string& stop : query.stops) {
    if (stop.empty() || stop.size() > kMaxStopBytes) {
      fields.fail(bad_field("stop", fmt::format("a text must have 1 to {} bytes", kMaxStopBytes)));
    }
  }
  query.stop_ids = fields.ids("stop_token_ids", kMaxStopIds).value_or(std::vector<std::int32_t>());
  query.ignore_eos = fields.boolean("ignore_eos", false);
  read_text_options(fields, query);
  query.stream = fields.boolean("stream", false);
  if (const Json* options = fields.find("stream_options")) {
    if (!options->is_object()) {
      return fields.fail(bad_field("stream_options", "expected an object"));
    }
    if (!query.stream) {
      return fields.fail(bad_field("stream_options", "is for \"stream\": true only"));
    }
    ApiFields inner(*options);
    query.include_usage = inner.boolean("include_usage", false);
    fields.fail(inner.status());
  }
  auto form = read_form(fields);
  if (!form.ok()) return fields.fail(form.status());
  query.form = *std::move(form);
}

}  // namespace

absl::StatusOr<std::vector<ApiPrompt>> read_prompts(const Json& body, const char* key,
                                                    std::size_t most) {
  const Json* prompt = ApiFields(body).find(key);
  if (prompt == nullptr) return bad_field(key, "is missing");
  std::vector<ApiPrompt> prompts;
  const bool several = prompt->is_array() && !prompt->empty() &&
                       (prompt->front().is_string() || prompt->front().is_array());
  if (!several) {
    if (!prompt->is_string() && !prompt->is_array()) {
      return bad_field(key, "expected a text, token ids, or a list of these");
    }
    if (auto status = add_prompt(*prompt, key, prompts); !status.ok()) return status;
    return prompts;
  }
  if (prompt->size() > most) {
    return bad_field(key, fmt::format("at most {} in one request", most));
  }
  for (const Json& one : *prompt) {
    if (one.is_string() != prompt->front().is_string()) {
      return bad_field(key, "expected all of them to be texts, or all to be token ids");
    }
    if (auto status = add_prompt(one, key, prompts); !status.ok()) return status;
  }
  return prompts;
}

absl::StatusOr<GenerationQuery> read_chat(const Json& body) {
  ApiFields fields(body);
  if (auto status = check_unsupported(fields); !status.ok()) return status;
  GenerationQuery query;
  query.chat = true;
  read_common(fields, query);
  auto messages = messages_of(fields);
  if (!messages.ok()) return messages.status();
  auto tools = read_tools(fields);
  if (!tools.ok()) return tools.status();
  query.tools = *std::move(tools);
  if (query.tools && query.tools->choice != ToolQuery::Choice::kNone) {
    messages->tools = query.tools->tools;
  }
  query.prompts.emplace_back(*std::move(messages));
  query.echo = fields.boolean("echo", false);
  if (query.echo) return unsupported_field("echo", "is not supported for chats");
  const auto top = fields.integer("top_logprobs", 0, kMaxTopLogprobs);
  if (fields.boolean("logprobs", false)) {
    query.top_logprobs = static_cast<int>(top.value_or(0));
  } else if (top.value_or(0) > 0) {
    fields.fail(bad_field("top_logprobs", "needs \"logprobs\": true"));
  }
  if (!fields.status().ok()) return fields.status();
  return query;
}

absl::StatusOr<GenerationQuery> read_completion(const Json& body) {
  ApiFields fields(body);
  if (auto status = check_unsupported(fields); !status.ok()) return status;
  GenerationQuery query;
  read_common(fields, query);
  auto prompts = read_prompts(body, "prompt", kMaxPrompts);
  if (!prompts.ok()) return prompts.status();
  query.prompts = *std::move(prompts);
  query.add_special_tokens = fields.boolean("add_special_tokens", true);
  query.echo = fields.boolean("echo", false);
  constexpr std::int64_t kDefaultMaxTokens = 16;  // as everybody's
  if (!query.max_tokens) query.max_tokens = kDefaultMaxTokens;
  if (*query.max_tokens == 0 && !query.echo) {
    fields.fail(bad_field("max_tokens", "0 needs \"echo\": true"));
  }
  if (const Json* logprobs = fields.find("logprobs"); logprobs != nullptr && *logprobs != false) {
    const auto top = fields.integer("logprobs", 0, kMaxTopLogprobs);
    if (top) query.top_logprobs = static_cast<int>(*top);
  }
  if (!fields.status().ok()) return fields.status();
  return query;
}

absl::StatusOr<TokenizeQuery> read_tokenize(const Json& body) {
  ApiFields fields(body);
  TokenizeQuery query;
  query.model = fields.text("model").value_or("");
  if (fields.find("messages") != nullptr) {
    for (const char* key : {"chat_template"}) {
      const Json* value = fields.find(key);
      if (value != nullptr && !is_nothing(*value)) {
        return unsupported_field(key, "is not supported by this server: leave it out");
      }
    }
    auto messages = messages_of(fields);
    if (!messages.ok()) return messages.status();
    auto tools = read_tool_list(fields);
    if (!tools.ok()) return tools.status();
    messages->tools = *std::move(tools);
    query.prompt = *std::move(messages);
  } else {
    const auto text = fields.text("prompt");
    if (!text) fields.fail(bad_field("prompt", "is missing: give it, or messages"));
    query.prompt = text.value_or("");
  }
  query.add_special_tokens = fields.boolean("add_special_tokens", true);
  query.return_token_texts = fields.boolean("return_token_strs", false);
  if (!fields.status().ok()) return fields.status();
  return query;
}

absl::StatusOr<DetokenizeQuery> read_detokenize(const Json& body) {
  ApiFields fields(body);
  DetokenizeQuery query;
  query.model = fields.text("model").value_or("");
  auto tokens = fields.ids("tokens", kMaxPromptIds);
  if (!tokens) fields.fail(bad_field("tokens", "is missing"));
  if (!fields.status().ok()) return fields.status();
  query.tokens = *std::move(tokens);
  return query;
}

SamplingOptions sampling_of(const ApiSampling& asked, const model::GenerationConfig& config) {
  SamplingOptions options = sampling_defaults(config);
  options.temperature = asked.temperature.value_or(options.temperature);
  options.top_k = asked.top_k.value_or(options.top_k);
  options.top_p = asked.top_p.value_or(options.top_p);
  options.min_p = asked.min_p.value_or(options.min_p);
  options.repetition_penalty = asked.repetition_penalty.value_or(options.repetition_penalty);
  options.presence_penalty = asked.presence_penalty;
  options.frequency_penalty = asked.frequency_penalty;
  options.greedy = options.temperature < kGreedyBelow;
  for (const auto& [id, bias] : asked.logit_bias) {
    options.rules.sequence_bias.push_back({{id}, bias});
  }
  options.rules.min_new_tokens = std::max(options.rules.min_new_tokens, asked.min_tokens);
  return options;
}

}  // namespace shoal::client
