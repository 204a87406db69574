// SPDX-License-Identifier: Apache-2.0
// What the model itself thought of a token, before any sampling step: its logit or its log
// probability, and those of the likeliest. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace shoal::client {

struct TopLogit {
  std::int32_t id = 0;
  float value = 0;
};

// The largest logits, in falling order; lower ids first among equals.
std::vector<TopLogit> top_logits(std::span<const float> logits, int count);

struct TokenLogprob {
  std::int32_t id = 0;
  double logprob = 0;
};

struct TokenScore {
  TokenLogprob token;
  std::vector<TokenLogprob> top;  // falling
};

// Of `id`, which lies in the vocabulary, with the `count` likeliest beside it.
TokenScore score_token(std::span<const float> logits, std::int32_t id, int count);

}  // namespace shoal::client
