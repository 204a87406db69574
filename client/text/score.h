// SPDX-License-Identifier: Apache-2.0
// How well a model predicts a text: mean negative log likelihood per token, over windows that each
// start from an empty cache at position 0. Window k has the inputs ids[N k .. N k + N - 1], and the
// targets one later; the last is shorter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"

namespace shoal::client {

struct ScoreResult {
  std::size_t targets = 0;
  double mean_nll = 0;  // nats per token
  double perplexity = 0;
  std::vector<double> window_mean_nll;
};

// Negative log of the softmax probability of `target`, in double. `rest_log_sum` as in
// score_token().
double negative_log_likelihood(std::span<const float> logits, std::int32_t target,
                               double rest_log_sum = -std::numeric_limits<double>::infinity());

// `ids` with the begin-of-text token, at least 2. on_progress gets targets done and targets in all.
absl::StatusOr<ScoreResult> score(Pipeline& pipeline, const UserModel& user_model,
                                  std::span<const std::int32_t> ids, std::int64_t window,
                                  const base::StopToken& interrupt,
                                  const std::function<void(std::size_t, std::size_t)>& on_progress);

}  // namespace shoal::client
