// SPDX-License-Identifier: Apache-2.0
#include "client/text/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "client/text/portable_exp.h"

namespace shoal::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SamplingOptions sampling() {
  SamplingOptions options;
  options.greedy = false;
  return options;
}

std::vector<float> random_logits(std::uint64_t seed, int count) {
  base::Random random(seed);
  std::vector<float> logits(count);
  for (float& value : logits) value = static_cast<float>(random.uniform() * 12 - 6);
  return logits;
}

std::vector<std::int32_t> ids_of(const std::vector<TokenProbability>& tokens) {
  std::vector<std::int32_t> ids;
  for (const auto& token : tokens) ids.push_back(token.id);
  return ids;
}

// The definition, without any cleverness: sort all, mask, normalise.
std::map<std::int32_t, double> reference(const std::vector<float>& logits,
                                         const std::vector<std::int32_t>& context,
                                         const SamplingOptions& options) {
  std::vector<double> value(logits.begin(), logits.end());
  for (const std::int32_t id : std::set<std::int32_t>(context.begin(), context.end())) {
    value[id] *= value[id] < 0 ? options.repetition_penalty : 1 / options.repetition_penalty;
  }
  std::vector<std::int32_t> order(value.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return value[a] > value[b]; });
  for (double& v : value) v /= options.temperature;
  if (options.top_k > 0 && options.top_k < static_cast<std::int64_t>(order.size())) {
    order.resize(options.top_k);
  }
  const auto softmax = [&] {
    std::vector<double> p;
    double total = 0;
    for (const int id : order) total += std::exp(value[id]);
    for (const int id : order) p.push_back(std::exp(value[id]) / total);
    return p;
  };
  std::vector<double> p = softmax();
  double before = 0;
  std::size_t keep = 0;
  while (keep < p.size() && (keep == 0 || options.top_p == 1.0 || before < options.top_p))
    before += p[keep++];
  order.resize(keep);
  p = softmax();
  keep = 0;
  while (keep < p.size() && p[keep] >= options.min_p * p[0]) ++keep;
  order.resize(keep);
  p = softmax();
  std::map<std::int32_t, double> result;
  for (std::size_t i = 0; i < order.size(); ++i) result[order[i]] = p[i];
  return result;
}

TEST(PortableExp, AgreesWithTheLibrary) {
  for (int i = 0; i <= 200'000; ++i) {
    const double x = -i * 0.0035;
    const double expected = std::exp(x);
    if (x < -700) break;
    ASSERT_NEAR(portable_exp(x) / expected, 1.0, 4.5e-16) << x;
  }
  EXPECT_EQ(portable_exp(0), 1.0);
  EXPECT_EQ(portable_exp(-1000), 0.0);
}

TEST(Sampler, GreedyTakesTheLowestOfEqualLargestIds) {
  const std::vector<float> logits{1, 7, 3, 7, -2};
  EXPECT_EQ(Sampler(SamplingOptions{}, 1).next(logits, {}), 1);
  SamplingOptions cold = sampling();
  cold.temperature = 0;
  EXPECT_EQ(Sampler(cold, 1).next(logits, {}), 1);
}

TEST(Sampler, GreedyHeedsTheRepetitionPenalty) {
  SamplingOptions options;
  options.repetition_penalty = 2;
  EXPECT_EQ(Sampler(options, 1).next(std::vector<float>{3, 4, -1}, std::vector<std::int32_t>{1, 1}),
            0);
  // A negative logit is made more negative.
  EXPECT_EQ(Sampler(options, 1).next(std::vector<float>{-3, -2}, std::vector<std::int32_t>{1}), 0);
}

TEST(Sampler, EachFilterKeepsWhatItsDefinitionSays) {
  const std::vector<float> logits{0, 3, 1, 2, 3};
  SamplingOptions options = sampling();
  EXPECT_THAT(ids_of(distribution(logits, {}, options)), ElementsAre(0, 1, 2, 3, 4));
  options.top_k = 3;
  EXPECT_THAT(ids_of(distribution(logits, {}, options)), ElementsAre(1, 3, 4));
  options.top_k = 1;  // equals of the k-th stay
  EXPECT_THAT(ids_of(distribution(logits, {}, options)), ElementsAre(1, 4));
  options = sampling();
  options.top_p = 0.01;  // one always stays: the lowest id of the equals
  EXPECT_THAT(ids_of(distribution(logits, {}, options)), ElementsAre(1));
  options = sampling();
  options.min_p = 0.3;  // exp(-1) = 0.37, exp(-2) = 0.14
  EXPECT_THAT(ids_of(distribution(logits, {}, options)), ElementsAre(1, 3, 4));
  options.min_p = 1;
  EXPECT_THAT(ids_of(distribution(logits, {}, options)), ElementsAre(1, 4));
}

TEST(Sampler, AgreesWithTheReferenceOnRandomLogits) {
  base::Random random(7);
  for (int round = 0; round < 200; ++round) {
    const std::vector<float> logits = random_logits(round, 50 + round);
    SamplingOptions options = sampling();
    options.temperature = 0.2 + 2 * random.uniform();
    options.top_k = round % 3 ? static_cast<std::int64_t>(random.next() % 60) : 0;
    options.top_p = round % 2 ? 0.05 + 0.95 * random.uniform() : 1.0;
    options.min_p = round % 5 ? 0.0 : 0.2 * random.uniform();
    options.repetition_penalty = round % 4 ? 1.0 : 0.7 + random.uniform();
    const std::vector<std::int32_t> context{3, 4, 4, 17, 30};
    const auto expected = reference(logits, context, options);
    const auto actual = distribution(logits, context, options);
    ASSERT_EQ(actual.size(), expected.size()) << "round " << round;
    for (const auto& token : actual) {
      ASSERT_TRUE(expected.contains(token.id)) << "round " << round;
      ASSERT_NEAR(token.probability, expected.at(token.id), 1e-12);
    }
  }
}

// The same arithmetic over the whole vocabulary, without any way around: not a bit may differ.
std::vector<TokenProbability> over_all(const std::vector<float>& logits,
                                       const std::set<std::int32_t>& context,
                                       const SamplingOptions& options) {
  std::vector<double> values(logits.begin(), logits.end());
  for (const std::int32_t id : context) {
    values[id] = values[id] < 0 ? values[id] * options.repetition_penalty
                                : values[id] / options.repetition_penalty;
  }
  for (double& value : values) value /= options.temperature;
  std::vector<std::int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return values[a] > values[b]; });
  const double largest = values[order.front()];
  if (options.top_k > 0 && static_cast<std::size_t>(options.top_k) < order.size()) {
    const double least = values[order[options.top_k - 1]];
    std::erase_if(order, [&](int id) { return values[id] < least; });
  }
  std::vector<std::int32_t> kept(order);
  std::sort(kept.begin(), kept.end());
  if (options.top_p < 1) {
    double total = 0, before = 0;
    for (const int id : kept) total += portable_exp(values[id] - largest);
    kept.clear();
    for (const int id : order) {
      if (!kept.empty() && before >= options.top_p * total) break;
      kept.push_back(id);
      before += portable_exp(values[id] - largest);
    }
    std::sort(kept.begin(), kept.end());
  }
  std::erase_if(kept, [&](int id) { return portable_exp(values[id] - largest) < options.min_p; });
  std::vector<TokenProbability> result;
  double total = 0;
  for (const int id : kept) {
    result.push_back({id, portable_exp(values[id] - largest)});
    total += result.back().probability;
  }
  for (TokenProbability& token : result) token.probability /= total;
  return result;
}

TEST(Sampler, WhatItSparesChangesNoBit) {
  base::Random random(23);
  for (int round = 0; round < 400; ++round) {
    std::vector<float> logits = random_logits(round, 3000);
    if (round % 3 == 0) {  // equals, also at the edge of top-k
      for (float& value : logits) value = std::round(value * 20) / 20;
    }
    SamplingOptions options = sampling();
    options.temperature = std::vector{0.05, 0.7, 1.0, 3.0, 97.0}[random.next() % 5];
    options.top_k =
        std::vector<std::int64_t>{0, 0, 1, 2, 50, 1024, 1025, 2999, 3000}[random.next() % 9];
    options.top_p =
        std::vector{1.0, 0.0, 0.01, 0.5, 0.95, 0.99999, 1 - 1e-7, 1 - 1e-16}[random.next() % 8];
    options.min_p = round % 5 ? 0.0 : 0.05;
    options.repetition_penalty = round % 2 ? 1.0 : 0.8 + random.uniform();
    const std::vector<std::int32_t> context{2999, 0, 17, 17, -4, 3000, 4};
    const auto expected = over_all(logits, {0, 4, 17, 2999}, options);
    const auto actual = distribution(logits, context, options);
    ASSERT_EQ(ids_of(actual), ids_of(expected)) << "round " << round;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      ASSERT_EQ(actual[i].probability, expected[i].probability) << "round " << round;
    }
    options.greedy = true;
    ASSERT_EQ(
        distribution(logits, context, options)[0].id,
        std::max_element(expected.begin(), expected.end(),
                         [](const auto& a, const auto& b) { return a.probability < b.probability; })
            ->id)
        << "round " << round;
  }
}

// Each count is binomial: 6 standard deviations fail once in 5e8 counts, and the seed is fixed.
TEST(Sampler, DrawsFollowTheDistribution) {
  const std::vector<float> logits = random_logits(11, 40);
  SamplingOptions options = sampling();
  options.top_p = 0.95;
  const auto tokens = distribution(logits, {}, options);
  constexpr int kDraws = 100'000;
  std::map<std::int32_t, int> counts;
  Sampler sampler(options, 5);
  for (int i = 0; i < kDraws; ++i) ++counts[sampler.next(logits, {})];
  int total = 0;
  for (const auto& token : tokens) {
    const double p = token.probability;
    EXPECT_NEAR(counts[token.id], kDraws * p, 6 * std::sqrt(kDraws * p * (1 - p)) + 1) << token.id;
    total += counts[token.id];
  }
  EXPECT_EQ(total, kDraws) << "an id was drawn that the filters had removed";
}

TEST(Sampler, SameSeedSameTokens) {
  const std::vector<float> logits = random_logits(3, 1000);
  Sampler a(sampling(), 42), b(sampling(), 42), c(sampling(), 43);
  std::vector<std::int32_t> from_a, from_b, from_c;
  for (int i = 0; i < 50; ++i) {
    from_a.push_back(a.next(logits, {}));
    from_b.push_back(b.next(logits, {}));
    from_c.push_back(c.next(logits, {}));
  }
  EXPECT_EQ(from_a, from_b);
  EXPECT_NE(from_a, from_c);
}

TEST(SamplingOptions, ErrorsNameOptionValueAndRange) {
  const auto message = [](auto change) {
    SamplingOptions options;
    change(options);
    return std::string(validate(options).message());
  };
  EXPECT_TRUE(validate(SamplingOptions{}).ok());
  EXPECT_THAT(message([](auto& o) { o.temperature = -1; }), HasSubstr("temperature is -1"));
  EXPECT_THAT(message([](auto& o) { o.temperature = NAN; }), HasSubstr("temperature is nan"));
  EXPECT_THAT(message([](auto& o) { o.top_k = -5; }), HasSubstr("top-k is -5"));
  EXPECT_THAT(message([](auto& o) { o.top_p = -0.1; }),
              HasSubstr("top-p is -0.1, but must be above 0"));
  EXPECT_THAT(message([](auto& o) { o.top_p = 1.5; }), HasSubstr("top-p is 1.5"));
  EXPECT_THAT(message([](auto& o) { o.min_p = 2; }), HasSubstr("min-p is 2"));
  EXPECT_THAT(message([](auto& o) { o.repetition_penalty = 0; }),
              HasSubstr("repetition-penalty is 0, but must be above 0"));
}

TEST(Sampler, PenaltiesOfPresenceAndFrequencyCountTheOutputAlone) {
  const std::vector<float> logits{1.0f, 3.0f, 2.0f, 0.5f};
  const std::vector<std::int32_t> ids{2, 2, 1, 1, 1};  // two of the prompt, three generated
  ScoreContext context;
  context.ids = ids;
  context.prompt_length = 2;
  SamplingOptions options;
  const auto chosen = [&] { return ruled_distribution(logits, context, options).at(0).id; };
  EXPECT_EQ(chosen(), 1);
  options.frequency_penalty = 0.3;  // 3.0 - 0.9
  EXPECT_EQ(chosen(), 1);
  options.frequency_penalty = 0.4;  // 3.0 - 1.2
  EXPECT_EQ(chosen(), 2);
  options.frequency_penalty = 0;
  options.presence_penalty = 1.1;
  EXPECT_EQ(chosen(), 2);
  options.presence_penalty = 0.9;
  EXPECT_EQ(chosen(), 1);
  options.frequency_penalty = 0.1;  // together, and behind the penalty of repetition
  options.repetition_penalty = 1.5;
  EXPECT_EQ(chosen(), 2);          // 3 / 1.5 - 1.2 against 2 / 1.5
  options.rules.suppressed = {2};  // the same where there are rules
  EXPECT_EQ(chosen(), 0);          // 1 against 0.8
  options.presence_penalty = -2;
  EXPECT_EQ(chosen(), 1);
  options.presence_penalty = 2.1;
  EXPECT_FALSE(validate(options).ok());
}

// As a constraint writes it into the logits.
TEST(Sampler, WhatIsForbiddenByALogitIsNeverDrawn) {
  std::vector<float> logits = random_logits(4, 200);
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (id % 40 != 7) logits[id] = -std::numeric_limits<float>::infinity();
  }
  std::vector<SamplingOptions> all(8, sampling());
  all[1].top_k = 50;
  all[2].top_p = 0.999;
  all[3].min_p = 1e-9;
  all[4].typical_p = 0.999;
  all[5].eta_cutoff = 1e-9;
  all[6].repetition_penalty = 1.3;
  all[7].rules.suppressed = {7};
  const std::vector<std::int32_t> context = {7, 8, 9};
  for (SamplingOptions& options : all) {
    options.temperature = 2;
    for (const TokenProbability& token : distribution(logits, context, options)) {
      EXPECT_EQ(token.id % 40, 7);
      EXPECT_GT(token.probability, 0);
    }
    const std::size_t left = options.rules.suppressed.empty() ? 5 : 4;
    EXPECT_EQ(distribution(logits, context, options).size(), left);
  }
}

}  // namespace
}  // namespace shoal::client
