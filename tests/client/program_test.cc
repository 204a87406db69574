// SPDX-License-Identifier: Apache-2.0
// The program `shoal` without a swarm: its output, and its errors: one line on stderr that says
// what to do, and a status that is not zero.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>

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

TEST_F(Program, WithoutAPromptStandardInputIsIt) {
  const std::vector<std::string> greedy{"--greedy", "--max-tokens", "8"};
  const std::string text = " there was a man who had three sons";
  for (const char* input : {"Once upon a time", "Once upon a time\n", "Once upon a time\r\n"}) {
    EXPECT_EQ(generate(greedy, input).out, text);
    EXPECT_EQ(generate({"--greedy", "--max-tokens", "8", "-"}, input).out, text);
  }
  // One line end only, and nothing else.
  const auto ids = [&](const std::string& input) {
    return Json::parse(generate({"--json", "--max-tokens", "1"}, input).out)["prompt_ids"];
  };
  EXPECT_EQ(ids("a\n\n"), ids("a\n\r\n"));
  EXPECT_NE(ids("a\n\n"), ids("a\n"));
  EXPECT_NE(ids("a \n"), ids("a\n"));
  EXPECT_NE(ids("a\r"), ids("a"));
  // A prompt that is given stays the prompt.
  EXPECT_EQ(generate({"--greedy", "--max-tokens", "8", "Once upon a time"}, "other").out, text);
}

TEST_F(Program, StopTextsAreTakenAsTheyAreWritten) {
  // The text goes on with " there was a man who had three sons".
  for (const char* stop : {"[was]", "[man,who]", "{was}", "\"was\"", "-was"}) {
    EXPECT_EQ(generate({"--greedy", "--max-tokens", "8", "--stop", stop, "Once upon a time"}).out,
              " there was a man who had three sons")
        << stop;
  }
  EXPECT_EQ(generate({"--greedy", "--max-tokens", "8", "--stop", "was", "Once upon a time"}).out,
            " there ");
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
  EXPECT_THAT(outcome.err, HasSubstr("head stored, exact\n"));
}

TEST_F(Program, TheHeadGoesWithTheBlocksUnlessAsked) {
  const auto json = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--json", "--logits", "--greedy", "--max-tokens", "4", "Once upon"});
    const Outcome outcome = generate(more);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return Json::parse(outcome.out);
  };
  const Json stored = json({}), packed = json({"--head", "q8"});
  EXPECT_EQ(stored["head"], "stored");
  EXPECT_EQ(stored["exact"], true);
  EXPECT_EQ(packed["head"], "q8");
  EXPECT_EQ(packed["compute"], stored["compute"]);
  EXPECT_NE(packed["logits"], stored["logits"]);
  EXPECT_NEAR(packed["logits"][0][0][1], stored["logits"][0][0][1], 0.2);
  const Json quantized = json({"--weights", "q4"});
  EXPECT_EQ(quantized["head"], "q8");
  EXPECT_EQ(quantized["compute"], "i8/q4");
  EXPECT_EQ(json({"--weights", "q4", "--head", "stored"})["head"], "stored");
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

TEST_F(Program, ScoreReadsStandardInput) {
  const std::string text = folder_.file("text");
  tests::write_file(text, "Once upon a time\nthere was a man.\n");
  const std::string of_file = shoal({"score", "--model", model_, "--local", text}).out;
  EXPECT_THAT(of_file, HasSubstr("perplexity"));
  const std::string input = tests::read_file(text);
  EXPECT_EQ(shoal({"score", "--model", model_, "--local", "-"}, input).out, of_file);
  EXPECT_EQ(shoal({"score", "--model", model_, "--local"}, input).out, of_file);
}

TEST_F(Program, TypedWrongIsTwoAndWhatHappenedIsOne) {
  const std::string empty_key = folder_.file("empty.key");
  tests::write_file(empty_key, "");
  const std::string text = folder_.file("text");
  tests::write_file(text, "some text");
  const std::vector<std::vector<std::string>> typed_wrong = {
      {},
      {"dance"},
      {"-m", model_},
      {"swarm"},
      {"swarm", "new"},
      {"generate", "--local", "x"},
      {"generate", "--model", model_, "x"},
      {"generate", "--model", model_, "--local", "--join", "127.0.0.1:1", "x"},
      {"generate", "--model", model_, "--join", "nonsense", "x"},
      {"generate", "--model", model_, "--local", "hello", "world"},
      {"generate", "--model", model_, "--local", "--temperature", "-1", "x"},
      {"generate", "--model", model_, "--local", "--top-k", "1e3", "x"},
      {"generate", "--model", model_, "--local", "--seed", "x"},
      {"generate", "--model", model_, "--local", "--logits", "x"},
      {"generate", "--model", model_, "--local", "--greedy", "--temperature", "1", "x"},
      {"generate", "--model", model_, "--local", "a\xff"},
      {"generate", "--model", model_, "--local"},  // its input is empty
      {"generate", "--model", model_, "--local", std::string(9000, 'x')},
      {"score", "--model", model_, "--local", "--window", "5000", text},
      {"score", "--model", model_, "--local", "a", "b"},
      {"status"},
      {"status", "--join", "127.0.0.1:1", "--local"},
  };
  for (const auto& arguments : typed_wrong) {
    const Outcome outcome = shoal(arguments);
    error_of(outcome);
    EXPECT_EQ(outcome.status, 2) << outcome.err;
  }
  const std::vector<std::vector<std::string>> happened = {
      {"generate", "--model", "/nowhere", "--local", "x"},
      {"generate", "--model", folder_.path(), "--local", "x"},
      {"score", "--model", model_, "--local", "/nowhere"},
      {"score", "--model", model_, "--local", folder_.path()},
      {"status", "--join", "127.0.0.1:1", "--swarm-key", "/nowhere"},
      {"status", "--join", "127.0.0.1:1", "--swarm-key", empty_key},
      {"status", "--join", "127.0.0.1:1", "--identity", "/nowhere/key"},
      {"swarm", "new", empty_key},
      {"swarm", "new", "/nowhere/key"},
  };
  for (const auto& arguments : happened) {
    const Outcome outcome = shoal(arguments);
    error_of(outcome);
    EXPECT_EQ(outcome.status, 1) << outcome.err;
  }
}

// The program behind a shell, for the ways in which only a shell opens and closes its streams.
class Streams : public Program {
 protected:
  Outcome behind_shell(const std::string& redirections, const std::string& more = "") {
    return tests::run({"/bin/sh", "-c",
                       tests::program("shoal") + " generate --greedy --model " + model_.string() +
                           " --local --max-tokens 8 " + more + " " + redirections},
                      20'000);
  }
};

TEST_F(Streams, AnOutputThatIsFullOrClosedIsAnError) {
  for (const char* more : {"Once", "--json Once", "--help", "--version"}) {
    const Outcome full = behind_shell(">/dev/full", more);
    EXPECT_EQ(full.status, 1) << more;
    EXPECT_THAT(full.err, HasSubstr("could not write to standard output")) << more;
    const Outcome closed = behind_shell(">&-", more);
    EXPECT_EQ(closed.status, 1) << more;
    EXPECT_EQ(std::count(closed.err.begin(), closed.err.end(), '\n'), 1) << closed.err;
  }
}

TEST_F(Streams, AReaderThatLeavesEndsTheTextInSilence) {
  const Outcome outcome = behind_shell("| head -c 6", "--max-tokens 8 --ignore-eos Once");
  EXPECT_EQ(outcome.out.size(), 6u);
  EXPECT_EQ(outcome.err, "");
  // It stops when the first write fails, long before 900 tokens.
  const Outcome status = tests::run(
      {"/bin/sh", "-c",
       "{ " + tests::program("shoal") + " generate --model " + model_.string() +
           " --local --ignore-eos --max-tokens 1000 Once; echo $? >" +
           folder_.file("status").c_str() + "; } | head -c 1 >" + folder_.file("out").c_str()},
      20'000);
  EXPECT_EQ(status.err, "");
  EXPECT_EQ(tests::read_file(folder_.file("status")), "141\n");
}

TEST_F(Streams, AClosedInputIsOnlyMissedWhenItIsNeeded) {
  EXPECT_EQ(behind_shell("<&-", "Once").status, 0);
  const Outcome missing = behind_shell("<&-");
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.err, HasSubstr("the prompt is missing"));
  const Outcome asked = behind_shell("<&-", "-");
  EXPECT_EQ(asked.status, 1);
  EXPECT_THAT(asked.err, HasSubstr("it is closed"));
  EXPECT_EQ(behind_shell("2>&-", "Once").status, 0);
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

TEST_F(Program, ATextOfAForm) {
  const Outcome text = generate({"--temperature", "1.5", "--regex", "[a-c]{3}(x|y)", "Once upon"});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_TRUE(std::regex_match(text.out, std::regex("[a-c]{3}(x|y)\n?"))) << text.out;
  EXPECT_THAT(error_of(generate({"--regex", "(", "x"})), HasSubstr("--regex"));
  const auto written = [&](const std::string& name, const std::string& content) {
    tests::write_file(folder_.file(name), content);
    return folder_.file(name);
  };
  const std::string schema = written(
      "schema.json",
      R"({"type":"object","required":["a"],"properties":{"a":{"type":"integer","maximum":99,"minimum":0}}})");
  const Outcome json = generate({"--temperature", "1.5", "--json-schema", schema, "Once upon"});
  EXPECT_LT(Json::parse(json.out)["a"], 100) << json.out;
  EXPECT_THAT(error_of(generate({"--json-schema", written("bad.json", "{"), "x"})),
              HasSubstr("holds no JSON"));
  EXPECT_THAT(error_of(generate({"--json-schema", written("not.json", R"({"not":{}})"), "x"})),
              HasSubstr("\"not\""));
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
