// SPDX-License-Identifier: Apache-2.0
// What the bodies of OpenAI's API ask for, as plain values: read with bounds, unknown fields passed
// over, those that would change the answer and that we do not do refused by name. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "client/serve/api_format.h"
#include "client/serve/api_tools.h"
#include "client/text/sampler.h"
#include "model/generation_config.h"

namespace shoal::client {

inline constexpr std::int64_t kMaxChoices = 128;
inline constexpr std::size_t kMaxPrompts = 128;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr int kMaxTopLogprobs = 20;

struct ApiMessages {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  bool add_generation_prompt = true;
  bool continue_final = false;  // the last message is the beginning of the answer
  nlohmann::ordered_json documents, template_arguments, tools;  // or null
};

// A text, ids, or messages that the model's template turns into ids.
using ApiPrompt = std::variant<std::string, std::vector<std::int32_t>, ApiMessages>;

struct ApiSampling {
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int64_t> top_k;
  double presence_penalty = 0, frequency_penalty = 0;
  std::vector<std::pair<std::int32_t, double>> logit_bias;
  std::int64_t min_tokens = 0;
  std::vector<std::int32_t> allowed_ids;  // empty: all
};

struct GenerationQuery {
  bool chat = false;
  std::string model;               // empty: the one that there is
  std::vector<ApiPrompt> prompts;  // at least one; of a chat, one of messages
  bool add_special_tokens = true;  // to a text
  std::int64_t n = 1;              // choices of each prompt
  std::optional<std::int64_t> max_tokens;
  ApiSampling sampling;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stops;
  std::vector<std::int32_t> stop_ids;
  bool ignore_eos = false;
  std::vector<std::string> bad_words;
  bool with_stop = false;        // the text holds what ended it
  bool special_tokens = false;   // and control tokens
  bool return_ids = false;       // beside the text
  bool ids_as_texts = false;     // in log probabilities
  std::int64_t truncate_to = 0;  // the last tokens of a prompt; 0: all, -1: as many as fit
  bool echo = false;
  std::optional<int> top_logprobs;  // nothing: no log probabilities
  bool stream = false;
  bool include_usage = false;
  std::optional<FormQuery> form;   // of the answer
  std::optional<ToolQuery> tools;  // of a chat

  std::size_t choices() const { return prompts.size() * static_cast<std::size_t>(n); }
};

absl::StatusOr<GenerationQuery> read_chat(const nlohmann::ordered_json& body);
absl::StatusOr<GenerationQuery> read_completion(const nlohmann::ordered_json& body);

// Of `key`: a text, a list of texts, a list of ids, or a list of lists of ids.
absl::StatusOr<std::vector<ApiPrompt>> read_prompts(const nlohmann::ordered_json& body,
                                                    const char* key, std::size_t most);

struct TokenizeQuery {
  std::string model;
  ApiPrompt prompt;
  bool add_special_tokens = true;
  bool return_token_texts = false;
};
absl::StatusOr<TokenizeQuery> read_tokenize(const nlohmann::ordered_json& body);

struct DetokenizeQuery {
  std::string model;
  std::vector<std::int32_t> tokens;
};
absl::StatusOr<DetokenizeQuery> read_detokenize(const nlohmann::ordered_json& body);

// The model's own, and over them what was asked for; as other servers do, it samples (temperature
// 1, if nobody says otherwise) unless the temperature is 0.
SamplingOptions sampling_of(const ApiSampling& asked, const model::GenerationConfig& config);

}  // namespace shoal::client
