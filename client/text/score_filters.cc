// SPDX-License-Identifier: Apache-2.0
#include "client/text/score_filters.h"

#include <algorithm>
#include <cmath>

#include "client/text/portable_exp.h"

namespace shoal::client {
namespace {

// The likeliest tokens that top-h looks at, as in the reference.
constexpr std::size_t kTopHTokens = 100;

bool likelier(const Score& a, const Score& b) {
  return a.value != b.value ? a.value > b.value : a.id < b.id;
}

// log p of each, by position, and the entropy of all.
struct Surprise {
  std::vector<double> log_p;
  double entropy = 0;
};

Surprise surprise_of(const std::vector<Score>& scores) {
  double largest = scores.front().value;
  for (const Score& score : scores) largest = std::max(largest, score.value);
  double total = 0;
  for (const Score& score : scores) total += portable_exp(score.value - largest);
  const double log_total = portable_log(total);
  Surprise result;
  for (const Score& score : scores) {
    const double log_p = score.value - largest - log_total;
    result.log_p.push_back(log_p);
    result.entropy -= portable_exp(std::min(log_p, 0.0)) * log_p;
  }
  return result;
}

// Those of probability below `least` go, but never the likeliest.
void keep_probable(std::vector<Score>& scores, const Surprise& surprise, double least) {
  double largest = scores.front().value;
  for (const Score& score : scores) largest = std::max(largest, score.value);
  std::vector<Score> kept;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double p = portable_exp(std::min(surprise.log_p[i], 0.0));
    if (p >= least || scores[i].value == largest) kept.push_back(scores[i]);
  }
  scores = std::move(kept);
}

}  // namespace

double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752) {
    m *= 2;
    --exponent;
  }
  // log m = 2 artanh((m - 1) / (m + 1)); |z| < 0.172, so the first term left out is below 1e-18.
  const double z = (m - 1) / (m + 1);
  const double square = z * z;
  double sum = 0;
  for (int n = 23; n >= 1; n -= 2) sum = sum * square + 1.0 / n;
  return exponent * 0.69314718055994531 + 2 * z * sum;
}

void keep_top_h(std::vector<Score>& scores, double h) {
  std::sort(scores.begin(), scores.end(), likelier);
  if (scores.size() > kTopHTokens) scores.resize(kTopHTokens);
  const Surprise surprise = surprise_of(scores);
  const double bound = surprise.entropy * h;
  double sum = 0;
  std::size_t keep = 0;
  for (; keep < scores.size(); ++keep) {
    const double log_p = surprise.log_p[keep];
    sum -= portable_exp(std::min(log_p, 0.0)) * log_p;
    if (keep > 0 && sum > bound) break;
  }
  scores.resize(keep);
}

void keep_typical(std::vector<Score>& scores, double mass) {
  const Surprise surprise = surprise_of(scores);
  struct Shifted {
    double distance, probability;
    std::size_t index;
  };
  std::vector<Shifted> order;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    order.push_back({std::abs(-surprise.log_p[i] - surprise.entropy),
                     portable_exp(std::min(surprise.log_p[i], 0.0)), i});
  }
  std::sort(order.begin(), order.end(), [&](const Shifted& a, const Shifted& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.index < b.index;
  });
  double sum = 0;
  std::size_t last = 0;
  while (last < order.size() && (sum += order[last].probability) < mass) ++last;
  const double bound = order[std::min(last, order.size() - 1)].distance;
  std::vector<Score> kept;
  for (const Shifted& shifted : order) {
    if (shifted.distance <= bound) kept.push_back(scores[shifted.index]);
  }
  scores = std::move(kept);
}

void keep_epsilon(std::vector<Score>& scores, double epsilon) {
  keep_probable(scores, surprise_of(scores), epsilon);
}

void keep_eta(std::vector<Score>& scores, double epsilon) {
  const Surprise surprise = surprise_of(scores);
  keep_probable(scores, surprise,
                std::min(epsilon, std::sqrt(epsilon) * portable_exp(-surprise.entropy)));
}

}  // namespace shoal::client
