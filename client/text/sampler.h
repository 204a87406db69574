// SPDX-License-Identifier: Apache-2.0
// From logits to the next token. Order of the steps as in Hugging Face transformers: the rules of
// generation_config.json with the penalties of repetition (over prompt and output), frequency and
// presence (over the output, as OpenAI's API has them) among them,
// temperature, top-h, top-k, top-p, min-p, typical, epsilon, eta; then one draw by the inverse
// distribution function. All in double and in a fixed order, so one seed gives the same tokens on
// every machine that computes the same logits. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "client/text/score_filters.h"
#include "client/text/score_rules.h"
#include "model/generation_config.h"

namespace shoal::client {

inline constexpr double kMaxTemperature = 100.0;
inline constexpr double kMaxRepetitionPenalty = 100.0;
inline constexpr double kMaxPresencePenalty = 2.0;  // and of frequency; the least is its negative

struct SamplingOptions {
  bool greedy = true;               // the largest logit, the lowest id among equals
  double temperature = 1.0;         // 0: greedy
  std::int64_t top_k = 0;           // 0: off
  double top_p = 1.0;               // 1: off; 0: the likeliest alone, which only a file may say
  double min_p = 0.0;               // 0: off
  double top_h = 0.0;               // 0: off
  double typical_p = 1.0;           // 1: off
  double epsilon_cutoff = 0.0;      // 0: off
  double eta_cutoff = 0.0;          // 0: off
  double repetition_penalty = 1.0;  // 1: off
  // Taken off the score of what was generated (not of the prompt): once, and for each time.
  double presence_penalty = 0.0, frequency_penalty = 0.0;  // 0: off
  model::ScoreRules rules;
};

// What the model's own generation_config.json asks for.
SamplingOptions sampling_defaults(const model::GenerationConfig& config);

// The largest score is taken, and nothing drawn.
bool is_greedy(const SamplingOptions& options);

// INVALID_ARGUMENT names the option, its value and its range.
absl::Status validate(const SamplingOptions& options);

struct TokenProbability {
  std::int32_t id = 0;
  double probability = 0;
};

// A logit of minus infinity is none: the token is not there. What the draw is made from: the ids
// that pass every filter, with probabilities that sum to 1. Greedy gives one id. `context.ids`
// outside the vocabulary are ignored. Where the rules forbid every token, the lowest id is left.
std::vector<TokenProbability> ruled_distribution(std::span<const float> logits,
                                                 const ScoreContext& context,
                                                 const SamplingOptions& options);
// The same where `ids` are a prompt, and there is neither a limit nor an end of text.
std::vector<TokenProbability> distribution(std::span<const float> logits,
                                           std::span<const std::int32_t> ids,
                                           const SamplingOptions& options);

// What one draw needs, kept for the next: a vocabulary is wide, and memory is slow to come by.
struct SamplingSpace {
  std::vector<Score> scores;
  std::vector<double> weights;
  std::vector<TokenProbability> kept;
};

class Sampler {
 public:
  // CHECKs validate(options).
  Sampler(const SamplingOptions& options, std::uint64_t seed);
  std::int32_t next_in(std::span<const float> logits, const ScoreContext& context);
  std::int32_t next(std::span<const float> logits, std::span<const std::int32_t> ids);

 private:
  SamplingOptions options_;
  base::Random random_;
  SamplingSpace space_;
};

}  // namespace shoal::client
