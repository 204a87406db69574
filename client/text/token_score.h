// SPDX-License-Identifier: Apache-2.0
// What the model itself thought of a token, before any sampling step: its logit or its log
// probability, and those of the likeliest. Pure functions.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "proto/scores.h"

namespace shoal::client {

using proto::TopLogit;

// The largest logits, in falling order; lower ids first among equals. Those of minus infinity are
// not known, and not among them.
std::vector<TopLogit> top_logits(std::span<const float> logits, int count);

struct TokenLogprob {
  std::int32_t id = 0;
  double logprob = 0;
};

struct TokenScore {
  TokenLogprob token;
  std::vector<TokenLogprob> top;  // falling
};

// Of `id`, whose logit is known, with the `count` likeliest beside it. `rest_log_sum`: the
// logarithm of the sum of exp of those that are not known.
TokenScore score_token(std::span<const float> logits, std::int32_t id, int count,
                       double rest_log_sum = -std::numeric_limits<double>::infinity());

}  // namespace shoal::client
