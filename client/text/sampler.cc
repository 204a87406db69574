// SPDX-License-Identifier: Apache-2.0
#include "client/text/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "client/text/portable_exp.h"
#include "client/text/score_filters.h"

namespace shoal::client {
namespace {

// Below this a temperature is greedy: dividing by it could overflow, and nothing else would ever be
// drawn.
constexpr double kGreedyTemperature = 1e-5;

// Order of a heap whose top is the largest value, and the lowest id among equals.
bool ranks_below(const Score& a, const Score& b) {
  return a.value != b.value ? a.value < b.value : a.id > b.id;
}

void penalize(std::span<double> values, std::span<const std::int32_t> context, double penalty) {
  if (penalty == 1.0) return;
  std::vector<bool> seen(values.size(), false);
  for (const std::int32_t id : context) {
    if (id < 0 || static_cast<std::size_t>(id) >= values.size() || seen[id]) continue;
    seen[id] = true;
    double& value = values[id];
    value = value < 0 ? value * penalty : value / penalty;
  }
}

// The scores that may be chosen from: all logits, without those that a rule forbids.
std::vector<Score> ruled(std::span<const float> logits, const ScoreContext& context,
                         const SamplingOptions& options) {
  std::vector<double> values(logits.begin(), logits.end());
  const bool rules = options.rules.any();
  if (rules) apply_early_rules(options.rules, context, values);
  penalize(values, context.ids, options.repetition_penalty);
  if (rules) apply_late_rules(options.rules, context, values);
  std::vector<Score> scores;
  scores.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (rules && values[i] == -std::numeric_limits<double>::infinity()) continue;
    scores.push_back({static_cast<std::int32_t>(i), values[i]});
  }
  return scores;
}

// Keeps the values not below the k-th largest: more than k among equals, as in the reference.
void keep_top_k(std::vector<Score>& scores, std::int64_t k) {
  if (k <= 0 || static_cast<std::size_t>(k) >= scores.size()) return;
  std::vector<double> values(scores.size());
  for (std::size_t i = 0; i < scores.size(); ++i) values[i] = scores[i].value;
  std::nth_element(values.begin(), values.begin() + (k - 1), values.end(), std::greater<>());
  const double least = values[k - 1];
  std::erase_if(scores, [least](const Score& score) { return score.value < least; });
}

// Keeps, from the most probable down, every id before which less than p of the mass lies; always
// the first.
void keep_top_p(std::vector<Score>& scores, double p, double largest) {
  if (p >= 1.0) return;
  double total = 0;
  for (const Score& score : scores) total += portable_exp(score.value - largest);
  std::make_heap(scores.begin(), scores.end(), ranks_below);
  double before = 0;
  auto end = scores.end();  // [end, scores.end()) is the nucleus, in rising order
  while (end != scores.begin() && (end == scores.end() || before < p * total)) {
    before += portable_exp(scores.front().value - largest);
    std::pop_heap(scores.begin(), end, ranks_below);
    --end;
  }
  scores.erase(scores.begin(), end);
}

absl::Status out_of_range(const char* name, double value, const char* range) {
  return absl::InvalidArgumentError(fmt::format("{} is {}, but must be {}", name, value, range));
}

}  // namespace

SamplingOptions sampling_defaults(const model::GenerationConfig& config) {
  return {.greedy = !config.do_sample,
          .temperature = config.temperature,
          .top_k = config.top_k,
          .top_p = config.top_p,
          .min_p = config.min_p,
          .top_h = config.top_h,
          .typical_p = config.typical_p,
          .epsilon_cutoff = config.epsilon_cutoff,
          .eta_cutoff = config.eta_cutoff,
          .repetition_penalty = config.repetition_penalty,
          .rules = config.rules};
}

absl::Status validate(const SamplingOptions& options) {
  if (!(options.temperature >= 0 && options.temperature <= kMaxTemperature)) {
    return out_of_range("temperature", options.temperature,
                        "between 0 and 100 (0 takes the likeliest token)");
  }
  if (options.top_k < 0) {
    return absl::InvalidArgumentError(fmt::format(
        "top-k is {}, but must be a whole number from 0 upward (0 turns it off)", options.top_k));
  }
  if (!(options.top_p >= 0 && options.top_p <= 1)) {
    return out_of_range("top-p", options.top_p, "above 0 and at most 1 (1 turns it off)");
  }
  if (!(options.min_p >= 0 && options.min_p <= 1)) {
    return out_of_range("min-p", options.min_p, "between 0 and 1 (0 turns it off)");
  }
  if (!(options.repetition_penalty > 0 && options.repetition_penalty <= kMaxRepetitionPenalty)) {
    return out_of_range("repetition-penalty", options.repetition_penalty,
                        "above 0 and at most 100 (1 turns it off)");
  }
  return absl::OkStatus();
}

std::vector<TokenProbability> ruled_distribution(std::span<const float> logits,
                                                 const ScoreContext& context,
                                                 const SamplingOptions& options) {
  CHECK(!logits.empty());
  std::vector<Score> scores = ruled(logits, context, options);
  if (scores.empty()) return {{0, 1.0}};  // as the reference's argmax
  const Score best = *std::max_element(scores.begin(), scores.end(), ranks_below);
  if (options.greedy || options.temperature < kGreedyTemperature) return {{best.id, 1.0}};

  for (Score& score : scores) score.value /= options.temperature;
  const double largest = best.value / options.temperature;
  if (options.top_h > 0) keep_top_h(scores, options.top_h);
  keep_top_k(scores, options.top_k);
  keep_top_p(scores, options.top_p, largest);
  if (options.min_p > 0) {
    std::erase_if(scores, [&](const Score& score) {
      return portable_exp(score.value - largest) < options.min_p;
    });
  }
  if (options.typical_p < 1) keep_typical(scores, options.typical_p);
  if (options.epsilon_cutoff > 0) keep_epsilon(scores, options.epsilon_cutoff);
  if (options.eta_cutoff > 0) keep_eta(scores, options.eta_cutoff);
  std::sort(scores.begin(), scores.end(),
            [](const Score& a, const Score& b) { return a.id < b.id; });
  double reference = largest;  // the likeliest may be gone: typical sampling takes it for too dull
  if (options.typical_p < 1) {
    reference = std::max_element(scores.begin(), scores.end(), ranks_below)->value;
  }
  std::vector<TokenProbability> kept;
  double total = 0;
  for (const Score& score : scores) {
    const double weight = portable_exp(score.value - reference);
    kept.push_back({score.id, weight});
    total += weight;
  }
  for (TokenProbability& token : kept) token.probability /= total;
  return kept;
}

std::vector<TokenProbability> distribution(std::span<const float> logits,
                                           std::span<const std::int32_t> ids,
                                           const SamplingOptions& options) {
  ScoreContext context;
  context.ids = ids;
  context.prompt_length = ids.size();
  return ruled_distribution(logits, context, options);
}

Sampler::Sampler(const SamplingOptions& options, std::uint64_t seed)
    : options_(options), random_(seed) {
  CHECK(validate(options).ok()) << validate(options);
}

std::int32_t Sampler::next(std::span<const float> logits, std::span<const std::int32_t> ids) {
  ScoreContext context;
  context.ids = ids;
  context.prompt_length = ids.size();
  return next_in(logits, context);
}

std::int32_t Sampler::next_in(std::span<const float> logits, const ScoreContext& context) {
  const std::vector<TokenProbability> tokens = ruled_distribution(logits, context, options_);
  if (tokens.size() == 1) return tokens.front().id;
  double rest = random_.uniform();
  std::int32_t chosen = tokens.back().id;
  for (const TokenProbability& token : tokens) {
    if (token.probability == 0) continue;
    chosen = token.id;  // rounding may leave a little at the end: the last possible id takes it
    rest -= token.probability;
    if (rest < 0) break;
  }
  return chosen;
}

}  // namespace shoal::client
