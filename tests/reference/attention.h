// SPDX-License-Identifier: Apache-2.0
// Softmax attention of one query over a list of positions, in double, in two passes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/reference/number.h"

namespace shoal::reference {

// keys[p] and values[p] [head_dim] of the positions that the query sees; at least one.
inline std::vector<Bounded> attention(const float* q, const std::vector<const float*>& keys,
                                      const std::vector<const float*>& values,
                                      std::int64_t head_dim, double scale) {
  std::vector<double> scores(keys.size());
  double score_error = 0, largest = 0;
  for (std::size_t p = 0; p < keys.size(); ++p) {
    double dot = 0, magnitude = 0;
    for (std::int64_t d = 0; d < head_dim; ++d) {
      const double product = static_cast<double>(q[d]) * keys[p][d];
      dot += product;
      magnitude += std::abs(product);
    }
    scores[p] = dot * scale;
    largest = std::max(largest, std::abs(scores[p]));
    score_error = std::max(
        score_error, static_cast<double>(head_dim + 2) * kRounding * magnitude * std::abs(scale));
  }
  const double maximum = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& s : scores) total += s = std::exp(s - maximum);
  // A weight's relative error is the absolute error of its exponent (scores, and differences of
  // scores rounded again at every rescaling), and roundings: exp and product of each rescaling,
  // then the chain of sums over positions. Twice: in the numerator and in the denominator.
  const auto positions = static_cast<double>(keys.size());
  const double tiles = positions / 32 + 2;
  const double relative = 2 * (2 * score_error + kRounding * 2 * largest * 2 +
                               kRounding * (positions + 8 * tiles + 10));
  std::vector<Bounded> out(static_cast<std::size_t>(head_dim));
  for (std::size_t d = 0; d < out.size(); ++d) {
    double sum = 0, magnitude = 0;
    for (std::size_t p = 0; p < keys.size(); ++p) {
      sum += scores[p] * values[p][d];
      magnitude += scores[p] * std::abs(static_cast<double>(values[p][d]));
    }
    out[d] = {sum / total, relative * 1.01 * magnitude / total};
  }
  return out;
}

}  // namespace shoal::reference
