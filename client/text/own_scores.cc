// SPDX-License-Identifier: Apache-2.0
#include "client/text/own_scores.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "base/finite.h"

namespace shoal::client {
namespace {

constexpr std::size_t kScoredAtOnce = 16;  // a vocabulary is wide
constexpr double kNothing = -std::numeric_limits<double>::infinity();

absl::Status head_rows(const UserModel& user_model, std::span<const float> rows,
                       std::span<float> logits) {
  user_model.logits(rows, logits);
  // Weights that changed meanwhile gave numbers of no model.
  if (auto intact = user_model.checkpoint->check(); !intact.ok()) return intact;
  if (base::all_finite(logits)) return absl::OkStatus();
  return absl::InternalError(
      "the model computed a logit that is not finite: its weights, or the node that ran the last "
      "blocks, are broken");
}

}  // namespace

absl::Status own_next_scores(Pipeline& pipeline, const UserModel& user_model,
                             std::span<const std::int32_t> ids, Scores& scores) {
  const auto row = pipeline.append(ids, RowsWanted::kLast);
  if (!row.ok()) return row.status();
  const auto begun = std::chrono::steady_clock::now();
  scores.logits.resize(user_model.vocabulary());
  scores.rest_log_sum = kNothing;
  absl::Status status = head_rows(user_model, *row, scores.logits);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begun;
  scores.head_us = took.count();
  return status;
}

absl::Status own_each_scores(Pipeline& pipeline, const UserModel& user_model,
                             std::span<const std::int32_t> ids, const ScoreSink& sink) {
  const auto rows = pipeline.append(ids, RowsWanted::kAll);
  if (!rows.ok()) return rows.status();
  const std::size_t hidden = user_model.hidden(), vocabulary = user_model.vocabulary();
  std::vector<float> logits;
  Scores scores;
  for (std::size_t first = 0; first < ids.size(); first += kScoredAtOnce) {
    const std::size_t some = std::min(kScoredAtOnce, ids.size() - first);
    logits.resize(some * vocabulary);
    const auto part = std::span(*rows).subspan(first * hidden, some * hidden);
    if (auto status = head_rows(user_model, part, logits); !status.ok()) return status;
    for (std::size_t row = 0; row < some; ++row) {
      const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row * vocabulary);
      scores.logits.assign(begin, begin + static_cast<std::ptrdiff_t>(vocabulary));
      if (auto status = sink(first + row, scores); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

void take_told(const proto::RowScores& told, std::span<const std::int32_t> also,
               std::size_t vocabulary, Scores& scores) {
  scores.logits.assign(vocabulary, -std::numeric_limits<float>::infinity());
  scores.rest_log_sum = told.rest_log_sum.value_or(kNothing);
  scores.head_us = 0;
  for (const proto::TopLogit& top : told.top) {
    scores.logits[static_cast<std::size_t>(top.id)] = top.value;
  }
  for (std::size_t i = 0; i < also.size(); ++i) {
    float& logit = scores.logits[static_cast<std::size_t>(also[i])];
    if (std::isfinite(logit)) continue;  // of the top, or named twice
    logit = told.also[i];
    // It is known by itself now, and no part of the rest: by log(exp(rest) - exp(logit)).
    const double without = 1 - std::exp(static_cast<double>(logit) - scores.rest_log_sum);
    scores.rest_log_sum = without > 0 ? scores.rest_log_sum + std::log(without) : kNothing;
  }
}

}  // namespace shoal::client
