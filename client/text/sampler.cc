// SPDX-License-Identifier: Apache-2.0
#include "client/text/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "base/check.h"
#include "client/text/portable_exp.h"
#include "client/text/score_filters.h"

namespace shoal::client {
namespace {

// Below this a temperature is greedy: dividing by it could overflow, and nothing else would ever be
// drawn.
constexpr double kGreedyTemperature = 1e-5;
// Up to here a heap of the K largest is quicker than to look for the K-th among all.
constexpr std::int64_t kSmallTopK = 1024;
// Far more than the rounding errors of sums over a vocabulary.
constexpr double kWorthPruning = 1e-6;

// Order of a heap whose top is the largest value, and the lowest id among equals.
bool ranks_below(const Score& a, const Score& b) {
  return a.value != b.value ? a.value < b.value : a.id > b.id;
}

// The ids of the text, each once, in rising order.
std::vector<std::int32_t> ids_seen(std::span<const std::int32_t> context, std::size_t vocabulary) {
  std::vector<std::int32_t> seen(context.begin(), context.end());
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  std::erase_if(
      seen, [&](std::int32_t id) { return id < 0 || static_cast<std::size_t>(id) >= vocabulary; });
  return seen;
}

// A node's head tells some of all logits.
bool is_known(float logit) { return logit != -std::numeric_limits<float>::infinity(); }

// What may be chosen from: all logits that are known, less those that a rule forbids, as rules and
// penalty leave them. A vocabulary is wide, and most of it stays as it is: it is copied only where
// there are rules.
class Choices {
 public:
  Choices(std::span<const float> logits, const ScoreContext& context,
          const SamplingOptions& options)
      : logits_(logits) {
    const double penalty = options.repetition_penalty;
    const bool counts = options.presence_penalty != 0 || options.frequency_penalty != 0;
    std::map<std::int32_t, double> taken;  // off what was generated
    if (counts) {
      for (const std::int32_t id : context.ids.subspan(context.prompt_length)) {
        const auto [entry, is_new] = taken.try_emplace(id, options.presence_penalty);
        entry->second += options.frequency_penalty;
      }
    }
    const auto penalized = [&](std::int32_t id, double value) {
      value = value < 0 ? value * penalty : value / penalty;
      const auto found = taken.find(id);
      return found == taken.end() ? value : value - found->second;
    };
    std::vector<std::int32_t> seen;
    if (penalty != 1.0 || counts) seen = ids_seen(context.ids, logits.size());
    if (!options.rules.any()) {
      for (const std::int32_t id : seen) {
        if (is_known(logits[id])) changed_.push_back({id, penalized(id, logits[id])});
      }
      return;
    }
    ruled_.assign(logits.begin(), logits.end());
    apply_early_rules(options.rules, context, ruled_);
    for (const std::int32_t id : seen) ruled_[id] = penalized(id, ruled_[id]);
    apply_late_rules(options.rules, context, ruled_);
  }

  // Calls body(id, value) for each, ids in rising order.
  template <typename Body>
  void each(const Body& body) const {
    if (!ruled_.empty()) {
      for (std::size_t id = 0; id < ruled_.size(); ++id) {
        if (ruled_[id] != -std::numeric_limits<double>::infinity()) {
          body(static_cast<std::int32_t>(id), ruled_[id]);
        }
      }
      return;
    }
    std::int32_t id = 0;
    const auto each_until = [&](std::int32_t end) {
      for (; id < end; ++id) {
        if (is_known(logits_[id])) body(id, static_cast<double>(logits_[id]));
      }
    };
    for (const Score& changed : changed_) {
      each_until(changed.id);
      if (is_known(changed.value)) body(id, changed.value);
      ++id;
    }
    each_until(static_cast<std::int32_t>(logits_.size()));
  }

  // The largest, the lowest id among equals; nothing where the rules forbid all.
  std::optional<Score> best() const {
    std::optional<Score> best;
    each([&](std::int32_t id, double value) {
      if (!best || value > best->value) best = Score{id, value};
    });
    return best;
  }
  void scaled(double temperature, std::vector<Score>& scores) const {
    scores.clear();
    scores.reserve(logits_.size());
    each([&](std::int32_t id, double value) { scores.push_back({id, value / temperature}); });
  }
  // As keep_top_k() leaves of scaled(), by two looks and without a copy.
  void scaled_top(double temperature, std::size_t k, std::vector<Score>& scores) const;

 private:
  std::span<const float> logits_;
  std::vector<Score> changed_;  // by the penalty; ids rise
  std::vector<double> ruled_;   // empty: without rules
};

void Choices::scaled_top(double temperature, std::size_t k, std::vector<Score>& scores) const {
  std::vector<double> largest;  // a heap with the least of them on top
  largest.reserve(k);
  each([&](std::int32_t, double value) {
    if (largest.size() < k) {
      largest.push_back(value);
      std::push_heap(largest.begin(), largest.end(), std::greater<>());
    } else if (value > largest.front()) {
      std::pop_heap(largest.begin(), largest.end(), std::greater<>());
      largest.back() = value;
      std::push_heap(largest.begin(), largest.end(), std::greater<>());
    }
  });
  if (largest.size() < k) return scaled(temperature, scores);
  const double least = largest.front() / temperature;
  // Division keeps the order, but may make equals of neighbours: those count as equals. What is
  // farther away need not be divided.
  double near = largest.front() - std::abs(largest.front()) * 1e-9;
  if (!std::isfinite(near)) near = -std::numeric_limits<double>::infinity();
  scores.clear();
  each([&](std::int32_t id, double value) {
    if (value >= near && value / temperature >= least) scores.push_back({id, value / temperature});
  });
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
void keep_top_p(std::vector<Score>& scores, double p, double largest,
                std::vector<double>& weights) {
  if (p >= 1.0) return;
  weights.clear();
  weights.reserve(scores.size());
  double total = 0;
  for (const Score& score : scores) {
    weights.push_back(portable_exp(score.value - largest));
    total += weights.back();
  }
  // Those below `least` weigh together less than half of what may be left out, so none of them is
  // among those that are kept: they need not be put in order.
  if (1 - p > kWorthPruning) {
    const double least = (1 - p) * total / (2 * static_cast<double>(scores.size()));
    std::size_t kept = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (weights[i] >= least) scores[kept++] = scores[i];
    }
    scores.resize(kept);
  }
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

bool is_greedy(const SamplingOptions& options) {
  return options.greedy || options.temperature < kGreedyTemperature;
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
  if (!(std::abs(options.presence_penalty) <= kMaxPresencePenalty)) {
    return out_of_range("presence-penalty", options.presence_penalty,
                        "between -2 and 2 (0 turns it off)");
  }
  if (!(std::abs(options.frequency_penalty) <= kMaxPresencePenalty)) {
    return out_of_range("frequency-penalty", options.frequency_penalty,
                        "between -2 and 2 (0 turns it off)");
  }
  return absl::OkStatus();
}

namespace {

// ruled_distribution(), in `space.kept`.
void distribute(std::span<const float> logits, const ScoreContext& context,
                const SamplingOptions& options, SamplingSpace& space) {
  CHECK(!logits.empty());
  const Choices choices(logits, context, options);
  const std::optional<Score> best = choices.best();
  std::vector<TokenProbability>& kept = space.kept;
  kept.clear();
  if (!best || is_greedy(options)) {
    kept.push_back({best ? best->id : 0, 1.0});  // 0: as the reference's argmax
    return;
  }

  const double largest = best->value / options.temperature;
  std::vector<Score>& scores = space.scores;
  if (options.top_h <= 0 && options.top_k > 0 && options.top_k <= kSmallTopK) {
    choices.scaled_top(options.temperature, static_cast<std::size_t>(options.top_k), scores);
  } else {
    choices.scaled(options.temperature, scores);
    if (options.top_h > 0) keep_top_h(scores, options.top_h);
    keep_top_k(scores, options.top_k);
  }
  keep_top_p(scores, options.top_p, largest, space.weights);
  if (options.min_p > 0) {
    std::erase_if(scores, [&](const Score& score) {
      return portable_exp(score.value - largest) < options.min_p;
    });
  }
  if (options.typical_p < 1) keep_typical(scores, options.typical_p);
  if (options.epsilon_cutoff > 0) keep_epsilon(scores, options.epsilon_cutoff);
  if (options.eta_cutoff > 0) keep_eta(scores, options.eta_cutoff);
  const auto by_id = [](const Score& a, const Score& b) { return a.id < b.id; };
  if (!std::is_sorted(scores.begin(), scores.end(), by_id)) {
    std::sort(scores.begin(), scores.end(), by_id);
  }
  double reference = largest;  // the likeliest may be gone: typical sampling takes it for too dull
  if (options.typical_p < 1) {
    reference = std::max_element(scores.begin(), scores.end(), ranks_below)->value;
  }
  kept.reserve(scores.size());
  double total = 0;
  for (const Score& score : scores) {
    const double weight = portable_exp(score.value - reference);
    kept.push_back({score.id, weight});
    total += weight;
  }
  for (TokenProbability& token : kept) token.probability /= total;
}

}  // namespace

std::vector<TokenProbability> ruled_distribution(std::span<const float> logits,
                                                 const ScoreContext& context,
                                                 const SamplingOptions& options) {
  SamplingSpace space;
  distribute(logits, context, options, space);
  return std::move(space.kept);
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
  distribute(logits, context, options_, space_);
  const std::vector<TokenProbability>& tokens = space_.kept;
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
