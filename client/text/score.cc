// SPDX-License-Identifier: Apache-2.0
#include "client/text/score.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace shoal::client {
namespace {

constexpr std::size_t kToldRows = 32;  // how far it is

}  // namespace

double negative_log_likelihood(std::span<const float> logits, std::int32_t target,
                               double rest_log_sum) {
  CHECK(target >= 0 && static_cast<std::size_t>(target) < logits.size());
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float value : logits) sum += std::exp(static_cast<double>(value) - largest);
  sum += std::exp(rest_log_sum - largest);
  return std::log(sum) + largest - static_cast<double>(logits[target]);
}

absl::StatusOr<ScoreResult> score(
    Pipeline& pipeline, const UserModel& user_model, std::span<const std::int32_t> ids,
    std::int64_t window, const base::StopToken& interrupt,
    const std::function<void(std::size_t, std::size_t)>& on_progress) {
  CHECK(ids.size() >= 2 && window >= 1);
  for (const std::int32_t id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= user_model.vocabulary()) {
      return absl::InvalidArgumentError(
          "the tokenizer gives ids that the model has no row for: tokenizer.json belongs to "
          "another "
          "model");
    }
  }
  const std::size_t inputs = ids.size() - 1;
  ScoreResult result;
  double total = 0;
  for (std::size_t begin = 0; begin < inputs; begin += static_cast<std::size_t>(window)) {
    const std::size_t count = std::min(static_cast<std::size_t>(window), inputs - begin);
    pipeline.truncate(0);
    const auto targets = ids.subspan(begin + 1, count);
    double sum = 0;
    const absl::Status scored = pipeline.each_scores(
        ids.subspan(begin, count), {1, {targets.begin(), targets.end()}},
        [&](std::size_t row, const Scores& scores) {
          sum += negative_log_likelihood(scores.logits, targets[row], scores.rest_log_sum);
          if ((row + 1) % kToldRows != 0 && row + 1 < count) return absl::OkStatus();
          if (on_progress) on_progress(begin + row + 1, inputs);
          return interrupt.stopped() ? interrupt.status() : absl::OkStatus();
        });
    if (!scored.ok()) return scored;
    result.window_mean_nll.push_back(sum / static_cast<double>(count));
    total += sum;
  }
  result.targets = inputs;
  result.mean_nll = total / static_cast<double>(inputs);
  result.perplexity = std::exp(result.mean_nll);
  if (!std::isfinite(result.mean_nll)) {
    return absl::InternalError(
        "the model computed values that are not finite: its weights, or the node that ran the last "
        "blocks, are broken");
  }
  return result;
}

}  // namespace shoal::client
