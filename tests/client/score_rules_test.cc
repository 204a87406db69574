// SPDX-License-Identifier: Apache-2.0
// The settings of generation_config.json, from the file to the choice of a token, against the
// reference's own logits processors (scripts/fixtures/make_score_rules.py).
#include "client/text/score_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "client/text/sampler.h"
#include "client/text/score_filters.h"
#include "tests/support/temp_dir.h"

namespace shoal::client {
namespace {

using nlohmann::json;
using Ids = std::vector<std::int32_t>;

SamplingOptions options_of(const json& config) {
  const tests::TempDir folder;
  tests::write_file(folder.file("generation_config.json"), config.dump());
  const auto loaded = model::load_generation_config(folder.path());
  EXPECT_TRUE(loaded.ok()) << loaded.status() << config;
  return sampling_defaults(*loaded);
}

TEST(ScoreRules, GiveWhatTheReferenceGives) {
  const json cases =
      json::parse(tests::read_file(SHOAL_SOURCE_DIR "/tests/fixtures/score_rules.json"));
  ASSERT_GT(cases.size(), 150u);
  for (const json& item : cases) {
    const SamplingOptions options = options_of(item["config"]);
    ASSERT_TRUE(validate(options).ok()) << validate(options);
    const Ids prompt = item["prompt"].get<Ids>();
    Ids ids = prompt;
    for (const json& id : item["output"]) ids.push_back(id.get<std::int32_t>());
    const Ids eos = item["config"]["eos_token_id"].get<Ids>();
    const auto result = ruled_distribution(item["logits"].get<std::vector<float>>(),
                                           {.ids = ids,
                                            .prompt_length = prompt.size(),
                                            .last_length = item["last_length"].get<std::size_t>(),
                                            .eos_ids = eos},
                                           options);
    const json& expected = item["expected"];
    ASSERT_EQ(result.size(), expected.size()) << item;
    for (std::size_t i = 0; i < result.size(); ++i) {
      EXPECT_EQ(result[i].id, expected[i][0].get<std::int32_t>()) << item;
      EXPECT_NEAR(result[i].probability, expected[i][1].get<double>(), 1e-6) << item;
    }
  }
}

TEST(ScoreRules, WhereAllIsForbiddenTheLowestIdIsLeft) {
  for (const bool sample : {false, true}) {
    const SamplingOptions options =
        options_of({{"do_sample", sample}, {"suppress_tokens", {0, 1, 2, 3}}});
    const std::vector<float> logits = {1, 2, 3, 4};
    const auto result = distribution(logits, Ids{0}, options);
    ASSERT_EQ(result.size(), 1u);
    EXPECT_EQ(result[0].id, 0);
    EXPECT_EQ(result[0].probability, 1.0);
  }
}

TEST(ScoreRules, IdsOutsideOfTheVocabularyArePassedOver) {
  const SamplingOptions options = options_of({{"suppress_tokens", {-1, 4, 1 << 30}},
                                              {"begin_suppress_tokens", {77}},
                                              {"sequence_bias", {{{9}, 3.0}, {{0, 9}, 1.0}}},
                                              {"bad_words_ids", {{9}, {1, 9}}},
                                              {"forced_eos_token_id", 99},
                                              {"no_repeat_ngram_size", 2}});
  const Ids ids = {0, -7, 1 << 30, 0};
  const auto result = distribution(std::vector<float>{1, 2, 3}, ids, options);
  ASSERT_EQ(result.size(), 1u);
  EXPECT_EQ(result[0].id, 2);
}

TEST(ScoreRules, TheLogarithmAgreesWithTheLibrary) {
  for (double x = 1e-300; x < 1e300; x *= 1.7) {
    EXPECT_NEAR(portable_log(x), std::log(x), 4e-16 * std::max(1.0, std::abs(std::log(x)))) << x;
  }
  for (double x = 0.4; x < 2.5; x += 0.0007) EXPECT_NEAR(portable_log(x), std::log(x), 3e-16) << x;
}

}  // namespace
}  // namespace shoal::client
