// SPDX-License-Identifier: Apache-2.0
#include "model/generation_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using tests::TempDir;
using tests::write_file;

TEST(GenerationConfig, AMissingFileGivesNeutralDefaults) {
  const TempDir directory;
  const absl::StatusOr<GenerationConfig> config = load_generation_config(directory.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->do_sample);
  EXPECT_EQ(config->temperature, 1.0);
  EXPECT_EQ(config->top_k, 0);
  EXPECT_EQ(config->top_p, 1.0);
  EXPECT_EQ(config->repetition_penalty, 1.0);
  EXPECT_EQ(config->max_new_tokens, std::nullopt);
  EXPECT_THAT(config->eos_ids, IsEmpty());
}

TEST(GenerationConfig, ReadsTheBundledModels) {
  const absl::StatusOr<GenerationConfig> config =
      load_generation_config(SHOAL_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->do_sample);
  EXPECT_EQ(config->temperature, 0.7);
  EXPECT_EQ(config->top_p, 0.9);
  EXPECT_THAT(config->eos_ids, ElementsAre(1));
}

TEST(GenerationConfig, ReadsAllFields) {
  const TempDir directory;
  write_file(directory.file("generation_config.json"),
             R"({"do_sample": true, "temperature": 0.5, "top_k": 40, "top_p": 0.8, "min_p": 0.1,
                      "repetition_penalty": 1.2, "max_new_tokens": 99, "eos_token_id": [5, 6],
                      "transformers_version": "4.57.1", "pad_token_id": null})");
  const absl::StatusOr<GenerationConfig> config = load_generation_config(directory.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->do_sample);
  EXPECT_EQ(config->temperature, 0.5);
  EXPECT_EQ(config->top_k, 40);
  EXPECT_EQ(config->top_p, 0.8);
  EXPECT_EQ(config->min_p, 0.1);
  EXPECT_EQ(config->repetition_penalty, 1.2);
  EXPECT_EQ(config->max_new_tokens, 99);
  EXPECT_THAT(config->eos_ids, ElementsAre(5, 6));
}

TEST(GenerationConfig, WhatIsNotDoneIsNamedOnce) {
  const TempDir directory;
  const auto warnings = [&](const std::string& text) {
    write_file(directory.file("generation_config.json"), text);
    const absl::StatusOr<GenerationConfig> config = load_generation_config(directory.path());
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? config->warnings : std::vector<std::string>{};
  };
  EXPECT_THAT(warnings(R"({"num_beams": 4, "num_beam_groups": 2, "num_return_sequences": 3,
      "penalty_alpha": 0.6, "guidance_scale": 1.5, "watermarking_config": {"bias": 2.0},
      "dola_layers": "high", "constraints": [1], "force_words_ids": [[1]], "token_healing": true,
      "forced_decoder_ids": [[1, 2]], "max_time": 3.5, "length_penalty": 2.0})"),
              ElementsAre(HasSubstr(
                  "ignores num_beams, num_beam_groups, num_return_sequences, penalty_alpha, "
                  "guidance_scale, watermarking_config, dola_layers, constraints, force_words_ids, "
                  "forced_decoder_ids, token_healing, max_time of ")));
  EXPECT_THAT(warnings(R"({"num_beams": 1, "num_return_sequences": 1, "guidance_scale": 1.0,
      "penalty_alpha": null, "token_healing": false, "constraints": null, "max_time": null,
      "early_stopping": false, "length_penalty": 1.0, "use_cache": true, "diversity_penalty": 0.0,
      "renormalize_logits": true, "remove_invalid_values": true, "pad_token_id": -1,
      "transformers_version": "5.24.0", "cache_implementation": "hybrid"})"),
              IsEmpty());
}

TEST(GenerationConfig, TopPZeroTopKBelowZeroAndIdsBelowZeroAreTaken) {
  const TempDir directory;
  write_file(directory.file("generation_config.json"),
             R"({"top_p": 0, "top_k": -1, "eos_token_id": -1, "suppress_tokens": [-1, 3],
                 "stop_strings": "###", "max_length": 20, "temperature": 0})");
  const absl::StatusOr<GenerationConfig> config = load_generation_config(directory.path());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->top_p, 0.0);
  EXPECT_EQ(config->top_k, 0);
  EXPECT_THAT(config->eos_ids, IsEmpty());
  EXPECT_THAT(config->rules.suppressed, ElementsAre(3));
  EXPECT_THAT(config->stop_strings, ElementsAre("###"));
  EXPECT_EQ(config->max_length, 20);
}

TEST(GenerationConfig, ErrorsNameTheFileAndTheKey) {
  const TempDir directory;
  for (const auto& [text, named] : {std::pair{R"({"top_p": 2})", "top_p"},
                                    {R"({"temperature": -1})", "temperature"},
                                    {R"({"top_k": "many"})", "top_k"},
                                    {R"({"do_sample": 1})", "do_sample"},
                                    {R"({"max_new_tokens": 0})", "max_new_tokens"},
                                    {R"({"eos_token_id": [1, "x"]})", "eos_token_id"},
                                    {R"({"top_p": "0.9"})", "top_p"},
                                    {R"({"top_p": NaN})", "not NaN"},
                                    {R"({"temperature": Infinity})", "not Infinity"},
                                    {R"({"top_k": -2})", "top_k"},
                                    {R"({"repetition_penalty": 0})", "repetition_penalty"},
                                    {R"({"suppress_tokens": "x"})", "suppress_tokens"},
                                    {R"({"suppress_tokens": [1.5]})", "suppress_tokens"},
                                    {R"({"bad_words_ids": [1]})", "bad_words_ids"},
                                    {R"({"sequence_bias": [[1, 2]]})", "sequence_bias"},
                                    {R"({"sequence_bias": [[[], 2.0]]})", "sequence_bias"},
                                    {R"({"forced_bos_token_id": [1, 2]})", "forced_bos_token_id"},
                                    {R"({"exponential_decay_length_penalty": [5]})", "[tokens"},
                                    {R"({"stop_strings": [5]})", "stop_strings"},
                                    {R"({"no_repeat_ngram_size": -1})", "no_repeat_ngram_size"},
                                    {"{", "not JSON"},
                                    {"[]", "JSON object"}}) {
    write_file(directory.file("generation_config.json"), text);
    const absl::Status status = load_generation_config(directory.path()).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr(named)) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("generation_config.json"));
  }
}

}  // namespace
}  // namespace shoal::model
