// SPDX-License-Identifier: Apache-2.0
#include "node/device/row_scores.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "base/check.h"

namespace shoal::node {
namespace {

bool ranks_before(const proto::TopLogit& a, const proto::TopLogit& b) {
  return a.value != b.value ? a.value > b.value : a.id < b.id;
}

// The k largest, in order. Of equals at the border those of the lowest ids.
std::vector<proto::TopLogit> largest(std::span<const float> logits, std::size_t k) {
  float least = logits.front();
  if (k == 1) {
    least = *std::ranges::max_element(logits);
  } else {
    std::vector<float> values(logits.begin(), logits.end());
    const auto border = values.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(values.begin(), border, values.end(), std::greater<>());
    least = *border;
  }
  std::vector<proto::TopLogit> top;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] >= least) top.push_back({static_cast<std::int32_t>(id), logits[id]});
  }
  const auto end = top.begin() + static_cast<std::ptrdiff_t>(k);
  std::partial_sort(top.begin(), end, top.end(), ranks_before);
  top.erase(end, top.end());
  return top;
}

}  // namespace

proto::RowScores row_scores(std::span<const float> logits, std::size_t top,
                            std::span<const std::int32_t> also) {
  CHECK(!logits.empty() && top > 0);
  proto::RowScores scores;
  scores.top = largest(logits, std::min(top, logits.size()));
  for (const std::int32_t id : also) scores.also.push_back(logits[static_cast<std::size_t>(id)]);
  if (scores.top.size() == logits.size()) return scores;
  // Those behind the last of the top, as ranks_before has it.
  const proto::TopLogit& last = scores.top.back();
  const auto is_other = [&](std::size_t id) {
    return logits[id] < last.value ||
           (logits[id] == last.value && static_cast<std::int32_t>(id) > last.id);
  };
  float most = 0;
  bool found = false;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!is_other(id)) continue;
    most = found ? std::max(most, logits[id]) : logits[id];
    found = true;
  }
  double sum = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (is_other(id)) sum += std::exp(static_cast<double>(logits[id]) - most);
  }
  scores.rest_log_sum = std::log(sum) + most;
  return scores;
}

}  // namespace shoal::node
