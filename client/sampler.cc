// SPDX-License-Identifier: Apache-2.0
#include "client/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "client/portable_exp.h"
#include "kernels/check.h"

namespace shoal::client {
namespace {

// Below this a temperature is greedy: dividing by it could overflow, and nothing else would ever be
// drawn.
constexpr double kGreedyTemperature = 1e-5;

struct Score {
  std::int32_t id;
  double value;
};

// Order of a heap whose top is the largest value, and the lowest id among equals.
bool ranks_below(const Score& a, const Score& b) {
  return a.value != b.value ? a.value < b.value : a.id > b.id;
}

std::vector<Score> penalized(std::span<const float> logits, std::span<const std::int32_t> context,
                             double penalty) {
  std::vector<Score> scores(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    scores[i] = {static_cast<std::int32_t>(i), static_cast<double>(logits[i])};
  }
  if (penalty == 1.0) return scores;
  std::vector<bool> seen(logits.size(), false);
  for (const std::int32_t id : context) {
    if (id < 0 || static_cast<std::size_t>(id) >= logits.size() || seen[id]) continue;
    seen[id] = true;
    double& value = scores[id].value;
    value = value < 0 ? value * penalty : value / penalty;
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

absl::Status validate(const SamplingOptions& options) {
  if (!(options.temperature >= 0 && options.temperature <= kMaxTemperature)) {
    return out_of_range("temperature", options.temperature,
                        "between 0 and 100 (0 takes the likeliest token)");
  }
  if (options.top_k < 0) {
    return absl::InvalidArgumentError(fmt::format(
        "top-k is {}, but must be a whole number from 0 upward (0 turns it off)", options.top_k));
  }
  if (!(options.top_p > 0 && options.top_p <= 1)) {
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

std::vector<TokenProbability> distribution(std::span<const float> logits,
                                           std::span<const std::int32_t> context,
                                           const SamplingOptions& options) {
  CHECK(!logits.empty());
  std::vector<Score> scores = penalized(logits, context, options.repetition_penalty);
  const Score best = *std::max_element(scores.begin(), scores.end(), ranks_below);
  if (options.greedy || options.temperature < kGreedyTemperature) return {{best.id, 1.0}};

  for (Score& score : scores) score.value /= options.temperature;
  const double largest = best.value / options.temperature;
  keep_top_k(scores, options.top_k);
  keep_top_p(scores, options.top_p, largest);
  std::sort(scores.begin(), scores.end(),
            [](const Score& a, const Score& b) { return a.id < b.id; });
  std::vector<TokenProbability> kept;
  double total = 0;
  for (const Score& score : scores) {
    const double weight = portable_exp(score.value - largest);  // relative to the most probable
    if (weight < options.min_p) continue;
    kept.push_back({score.id, weight});
    total += weight;
  }
  for (TokenProbability& token : kept) token.probability /= total;
  return kept;
}

Sampler::Sampler(const SamplingOptions& options, std::uint64_t seed)
    : options_(options), random_(seed) {
  CHECK(validate(options).ok()) << validate(options);
}

std::int32_t Sampler::next(std::span<const float> logits, std::span<const std::int32_t> context) {
  const std::vector<TokenProbability> tokens = distribution(logits, context, options_);
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
