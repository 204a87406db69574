// SPDX-License-Identifier: Apache-2.0
// The program `shoal` without a swarm: its output, and its errors: one line on stderr that says
// what to do, and a status that is not zero.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/client/golden.h"
#include "tests/support/model_folder.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::client {
namespace {

using ::testing::HasSubstr;
using tests::Outcome;
using Json = nlohmann::json;

class Program : public ::testing::Test {
 protected:
  Outcome shoal(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), tests::program("shoal"));
    return tests::run(arguments, 20'000, input);
  }
  Outcome generate(std::vector<std::string> more, const std::string& input = "") {
    std::vector<std::string> arguments{"generate", "--model", model_, "--local"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return shoal(arguments, input);
  }
  std::string error_of(const Outcome& outcome) {
    EXPECT_GT(outcome.status, 0);
    EXPECT_LT(outcome.seconds, 15);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.err.starts_with("shoal: ")) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }
  // A copy of the demo model in which `file` has `content`.
  void spoil(const std::string& file, const std::string& content) {
    model_ = folder_.file("model");
    std::filesystem::remove_all(model_);
    tests::copy_model(demo_folder(), model_);
    std::filesystem::remove(model_ / file);
    tests::write_file(model_ / file, content);
  }

  std::filesystem::path model_ = demo_folder();
  tests::TempDir folder_;
};

TEST_F(Program, PrintsTheTextAndNothingElse) {
  const Json prompt = read_golden()["prompts"][0];
  const Outcome outcome = generate({"--greedy", "--max-tokens", "32", "Once upon a time"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ("Once upon a time" + outcome.out, prompt["text"]);
  EXPECT_EQ(outcome.err, "");
}

TEST_F(Program, ReadsThePromptFromStandardInput) {
  EXPECT_EQ(generate({"--greedy", "--max-tokens", "8", "-"}, "Once upon a time").out,
            " there was a man who had three sons");
}

TEST_F(Program, JsonHoldsIdsLogitsAndTheSeed) {
  const Json prompt = read_golden()["prompts"][0];
  const Outcome outcome = generate(
      {"--temperature", "0", "--json", "--logits", "--max-tokens", "32", "Once upon a time"});
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["prompt_ids"], prompt["prompt_ids"]);
  EXPECT_EQ(json["ids"], prompt["greedy_ids"]);
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_TRUE(json["seed"].is_number_unsigned());
  EXPECT_EQ(json["timings"]["per_token_ms"].size(), 31u);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(json["logits"][0][i][0], prompt["first_top5"][i][0]);
    EXPECT_NEAR(json["logits"][0][i][1], prompt["first_top5"][i][1], 1e-3);
  }
  // The seed of a random run gives the same text again.
  const Json random = Json::parse(generate({"--json", "--max-tokens", "20", "Once"}).out);
  const Json again = Json::parse(
      generate({"--json", "--max-tokens", "20", "--seed", random["seed"].dump(), "Once"}).out);
  EXPECT_EQ(random["ids"], again["ids"]);
}

TEST_F(Program, TraceGoesToStandardError) {
  const Outcome outcome =
      generate({"--greedy", "--trace", "--max-tokens", "3", "Once upon a time"});
  EXPECT_EQ(outcome.out, " there was a");
  EXPECT_THAT(outcome.err, HasSubstr("token 2: "));
  EXPECT_THAT(outcome.err, HasSubstr("queue"));
  EXPECT_THAT(outcome.err, HasSubstr("mean of 2 decode steps"));
}

TEST_F(Program, ScoreJson) {
  const std::string text = folder_.file("text");
  tests::write_file(text, read_heldout().substr(0, 800));
  const Outcome outcome =
      shoal({"score", "--model", model_, "--local", "--window", "64", "--json", text});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["window_mean_nll"].size(), (json["targets"].get<int>() + 63) / 64);
  EXPECT_NEAR(std::exp(json["mean_nll"].get<double>()), json["perplexity"].get<double>(), 1e-9);
}

TEST_F(Program, SwarmNewMakesAKeyOnce) {
  const std::string key = folder_.file("swarm.key");
  EXPECT_EQ(shoal({"swarm", "new", key}).status, 0);
  EXPECT_EQ(std::filesystem::status(key).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_THAT(error_of(shoal({"swarm", "new", key})), HasSubstr(key));
}

TEST_F(Program, MissingFolder) {
  model_ = "/nonexistent/model";
  EXPECT_THAT(error_of(generate({"x"})), HasSubstr("/nonexistent/model"));
}

TEST_F(Program, TruncatedWeights) {
  spoil("model.safetensors",
        tests::read_file(demo_folder() + "/model.safetensors").substr(0, 100'000));
  EXPECT_THAT(error_of(generate({"x"})), HasSubstr("model.safetensors"));
  spoil("model.safetensors", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10));
  EXPECT_THAT(error_of(generate({"x"})), HasSubstr("model.safetensors"));
}

TEST_F(Program, TokenizerWithUnknownParts) {
  Json tokenizer = Json::parse(tests::read_file(demo_folder() + "/tokenizer.json"));
  tokenizer["pre_tokenizer"] = {{"type", "Telepathy"}};
  spoil("tokenizer.json", tokenizer.dump());
  EXPECT_THAT(error_of(generate({"x"})), HasSubstr("Telepathy"));
}

TEST_F(Program, UnsupportedArchitecture) {
  Json config = Json::parse(tests::read_file(demo_folder() + "/config.json"));
  config["architectures"] = {"OracleForCausalLM"};
  config["model_type"] = "oracle";
  spoil("config.json", config.dump());
  EXPECT_THAT(error_of(generate({"x"})), HasSubstr("racle"));
}

TEST_F(Program, PromptLongerThanTheContext) {
  std::string words;
  for (int i = 0; i < 3000; ++i) words += "word ";
  const std::string error = error_of(generate({"-"}, words));
  EXPECT_THAT(error, HasSubstr("tokens"));
  EXPECT_THAT(error, HasSubstr("1024"));
}

TEST_F(Program, PromptThatIsNotUtf8) {
  EXPECT_THAT(error_of(generate({"-"}, "a\xff")), HasSubstr("UTF-8"));
  const std::string text = folder_.file("text");
  tests::write_file(text, "a\xff");
  EXPECT_THAT(error_of(shoal({"score", "--model", model_, "--local", text})), HasSubstr("UTF-8"));
}

TEST_F(Program, SamplingOptionsOutOfRange) {
  EXPECT_THAT(error_of(generate({"--temperature", "-1", "x"})), HasSubstr("temperature is -1"));
  EXPECT_THAT(error_of(generate({"--top-p", "1.5", "x"})), HasSubstr("top-p is 1.5"));
  EXPECT_THAT(error_of(generate({"--top-k", "-2", "x"})), HasSubstr("top-k is -2"));
  EXPECT_THAT(error_of(generate({"--min-p", "3", "x"})), HasSubstr("min-p is 3"));
  EXPECT_THAT(error_of(generate({"--repetition-penalty", "0", "x"})),
              HasSubstr("repetition-penalty is 0"));
}

TEST_F(Program, NeitherJoinNorLocal) {
  EXPECT_THAT(error_of(shoal({"generate", "--model", model_, "x"})), HasSubstr("--join HOST:PORT"));
}

TEST_F(Program, AddressThatDoesNotAnswer) {
  EXPECT_THAT(error_of(shoal({"generate", "--model", model_, "--join", "127.0.0.1:9", "x"})),
              HasSubstr("127.0.0.1:9"));
}

TEST_F(Program, FilesToScore) {
  EXPECT_THAT(error_of(shoal({"score", "--model", model_, "--local", "/nonexistent"})),
              HasSubstr("/nonexistent"));
  EXPECT_THAT(error_of(shoal({"score", "--model", model_, "--local", "/dev/null"})),
              HasSubstr("empty"));
  EXPECT_THAT(error_of(shoal({"score", "--model", model_, "--local", folder_.path()})),
              HasSubstr("folder"));
  EXPECT_THAT(error_of(shoal(
                  {"score", "--model", model_, "--local", "--window", "5000", "/proc/self/exe"})),
              HasSubstr("window is 5000"));
}

}  // namespace
}  // namespace shoal::client
