// SPDX-License-Identifier: Apache-2.0
#include "client/text/score_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal::client {
namespace {

constexpr double kForbidden = -std::numeric_limits<double>::infinity();

using Ids = std::span<const std::int32_t>;

void add(std::span<double> scores, std::int32_t id, double bias) {
  if (id >= 0 && static_cast<std::size_t>(id) < scores.size()) {
    scores[static_cast<std::size_t>(id)] += bias;
  }
}

void forbid(std::span<double> scores, Ids ids) {
  for (const std::int32_t id : ids) {
    if (id >= 0 && static_cast<std::size_t>(id) < scores.size()) {
      scores[static_cast<std::size_t>(id)] = kForbidden;
    }
  }
}

void force(std::span<double> scores, Ids ids) {
  std::fill(scores.begin(), scores.end(), kForbidden);
  for (const std::int32_t id : ids) {
    if (id >= 0 && static_cast<std::size_t>(id) < scores.size()) {
      scores[static_cast<std::size_t>(id)] = 0;
    }
  }
}

bool ends_with(Ids ids, Ids tail) {
  return tail.size() <= ids.size() && std::equal(tail.begin(), tail.end(), ids.end() - tail.size());
}

void apply_bias(std::span<double> scores, Ids context, Ids sequence, double bias) {
  if (ends_with(context, sequence.first(sequence.size() - 1))) add(scores, sequence.back(), bias);
}

// Forbids what would end an n-gram of `source` that begins with the end of `context`.
void forbid_ngrams(std::span<double> scores, Ids source, Ids context, std::size_t size) {
  if (size == 0 || context.size() + 1 < size || source.size() < size) return;
  const Ids begin = context.last(size - 1);
  for (std::size_t i = 0; i + size <= source.size(); ++i) {
    if (std::equal(begin.begin(), begin.end(), source.begin() + i)) {
      forbid(scores, source.subspan(i + size - 1, 1));
    }
  }
}

void apply_decay(const model::ScoreRules& rules, const ScoreContext& context,
                 std::span<double> scores) {
  if (rules.decay_start < 0) return;
  const auto start = static_cast<std::size_t>(rules.decay_start) + context.prompt_length;
  if (context.ids.size() <= start) return;
  // By multiplication: the C library's pow may differ between machines.
  double power = 1;
  for (std::size_t i = start; i < context.ids.size() && std::isfinite(power); ++i) {
    power *= rules.decay_factor;
  }
  for (const std::int32_t id : context.eos_ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= scores.size()) continue;
    const double score = scores[static_cast<std::size_t>(id)];
    if (std::isfinite(score)) add(scores, id, std::abs(score) * (power - 1));
  }
}

}  // namespace

void apply_early_rules(const model::ScoreRules& rules, const ScoreContext& context,
                       std::span<double> scores) {
  for (const model::SequenceBias& item : rules.sequence_bias) {
    apply_bias(scores, context.ids, item.ids, item.bias);
  }
  if (rules.encoder_repetition_penalty == 1.0) return;
  const double penalty = 1 / rules.encoder_repetition_penalty;
  std::vector<bool> seen(scores.size(), false);
  for (const std::int32_t id : context.ids.first(context.prompt_length)) {
    if (id < 0 || static_cast<std::size_t>(id) >= scores.size()) continue;
    const auto i = static_cast<std::size_t>(id);
    if (seen[i]) continue;
    seen[i] = true;
    scores[i] = scores[i] < 0 ? scores[i] * penalty : scores[i] / penalty;
  }
}

void apply_late_rules(const model::ScoreRules& rules, const ScoreContext& context,
                      std::span<double> scores) {
  const Ids ids = context.ids;
  if (rules.no_repeat_ngram_size > 0) {
    forbid_ngrams(scores, ids, ids, static_cast<std::size_t>(rules.no_repeat_ngram_size));
  }
  if (rules.encoder_no_repeat_ngram_size > 0) {
    forbid_ngrams(scores, ids.first(context.prompt_length), ids,
                  static_cast<std::size_t>(rules.encoder_no_repeat_ngram_size));
  }
  for (const std::vector<std::int32_t>& word : rules.bad_words) {
    const bool is_end =
        word.size() == 1 &&
        std::find(context.eos_ids.begin(), context.eos_ids.end(), word[0]) != context.eos_ids.end();
    if (!is_end) apply_bias(scores, ids, word, kForbidden);
  }
  const auto least = [&](std::int64_t length, std::size_t so_far) {
    if (length > 0 && so_far < static_cast<std::size_t>(length)) forbid(scores, context.eos_ids);
  };
  least(rules.min_length, ids.size());
  least(rules.min_new_tokens, ids.size() - context.prompt_length);
  if (rules.forced_bos && ids.size() == 1) force(scores, {&*rules.forced_bos, 1});
  if (!rules.forced_eos.empty() && context.last_length > 0 &&
      ids.size() + 1 == context.last_length) {
    force(scores, rules.forced_eos);
  }
  apply_decay(rules, context, scores);
  forbid(scores, rules.suppressed);
  const std::size_t begin =
      context.prompt_length + (context.prompt_length == 1 && rules.forced_bos ? 1 : 0);
  if (ids.size() == begin) forbid(scores, rules.begin_suppressed);
}

}  // namespace shoal::client
