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

TEST(GenerationConfig, ErrorsNameTheFileAndTheKey) {
  const TempDir directory;
  for (const auto& [text, named] : {std::pair{R"({"top_p": 2})", "top_p"},
                                    {R"({"temperature": -1})", "temperature"},
                                    {R"({"top_k": "many"})", "top_k"},
                                    {R"({"do_sample": 1})", "do_sample"},
                                    {R"({"max_new_tokens": 0})", "max_new_tokens"},
                                    {R"({"eos_token_id": [1, "x"]})", "eos_token_id"},
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
