// SPDX-License-Identifier: Apache-2.0
#include "client/text/token_score.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace shoal::client {

std::vector<TopLogit> top_logits(std::span<const float> logits, int count) {
  const std::size_t keep = std::min(static_cast<std::size_t>(count), logits.size());
  std::vector<TopLogit> top;
  top.reserve(keep + 1);
  for (std::size_t i = 0; keep > 0 && i < logits.size(); ++i) {
    if (logits[i] == -std::numeric_limits<float>::infinity()) continue;
    // Ids rise: an equal one comes behind.
    if (top.size() == keep && !(logits[i] > top.back().value)) continue;
    const auto place =
        std::upper_bound(top.begin(), top.end(), logits[i],
                         [](float value, const TopLogit& other) { return value > other.value; });
    top.insert(place, {static_cast<std::int32_t>(i), logits[i]});
    if (top.size() > keep) top.pop_back();
  }
  return top;
}

TokenScore score_token(std::span<const float> logits, std::int32_t id, int count,
                       double rest_log_sum) {
  CHECK(id >= 0 && static_cast<std::size_t>(id) < logits.size()) << id;
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  sum += std::exp(rest_log_sum - largest);
  const auto logprob = [&](float logit) { return logit - largest - std::log(sum); };
  TokenScore score{{id, logprob(logits[static_cast<std::size_t>(id)])}, {}};
  for (const TopLogit& top : top_logits(logits, count)) {
    score.top.push_back({top.id, logprob(top.value)});
  }
  return score;
}

}  // namespace shoal::client
