// SPDX-License-Identifier: Apache-2.0
#include "client/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/kv_dtype.h"

namespace shoal::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

template <typename Flags>
Flags parsed(const std::vector<std::string>& arguments) {
  auto command = parse_command_line(arguments);
  EXPECT_TRUE(command.ok()) << command.status();
  return std::get<Flags>(command.value());
}

std::string error(const std::vector<std::string>& arguments) {
  const auto command = parse_command_line(arguments);
  EXPECT_FALSE(command.ok());
  EXPECT_THAT(std::string(command.status().message()), Not(HasSubstr("\n")));
  return std::string(command.status().message());
}

TEST(CommandLine, Generate) {
  const auto flags = parsed<GenerateFlags>({"generate",
                                            "--model",
                                            "m",
                                            "--join",
                                            "127.0.0.1:7000",
                                            "--max-tokens",
                                            "5",
                                            "--temperature",
                                            "0.7",
                                            "--top-k",
                                            "3",
                                            "--top-p",
                                            "0.5",
                                            "--min-p",
                                            "0.1",
                                            "--repetition-penalty",
                                            "1.2",
                                            "--seed",
                                            "18446744073709551615",
                                            "--stop",
                                            "a",
                                            "--stop",
                                            "b",
                                            "--json",
                                            "--trace",
                                            "--logits",
                                            "--threads",
                                            "2",
                                            "--swarm-key",
                                            "k",
                                            "--identity",
                                            "i",
                                            "Once upon a time"});
  EXPECT_EQ(flags.model, "m");
  EXPECT_THAT(flags.swarm.join, ElementsAre("127.0.0.1:7000"));
  EXPECT_EQ(flags.swarm.swarm_key_file, "k");
  EXPECT_EQ(flags.swarm.identity_file, "i");
  EXPECT_EQ(flags.max_tokens, 5);
  EXPECT_EQ(flags.temperature, 0.7);
  EXPECT_EQ(flags.top_k, 3);
  EXPECT_EQ(flags.top_p, 0.5);
  EXPECT_EQ(flags.min_p, 0.1);
  EXPECT_EQ(flags.repetition_penalty, 1.2);
  EXPECT_EQ(flags.seed, 18446744073709551615u);
  EXPECT_THAT(flags.stops, ElementsAre("a", "b"));
  EXPECT_TRUE(flags.json && flags.trace && flags.logits);
  EXPECT_EQ(flags.threads, 2);
  EXPECT_EQ(flags.prompt, "Once upon a time");
}

TEST(CommandLine, WithoutAModelItIsTheSwarms) {
  EXPECT_EQ(parsed<GenerateFlags>({"generate", "--join", "h:1", "p"}).model, "");
  EXPECT_EQ(parsed<ChatFlags>({"chat", "--join", "h:1"}).model, "");
  EXPECT_EQ(parsed<ServeFlags>({"serve", "--join", "h:1"}).model, "");
  EXPECT_EQ(parsed<ChatFlags>({"chat", "--join", "h:1", "--ends", "remote"}).swarm.ends, "remote");
  for (const char* command : {"generate", "chat", "serve", "score"}) {
    std::vector<std::string> line = {command};
    if (std::string(command) == "generate" || std::string(command) == "score") {
      line.emplace_back("p");
    }
    const auto with = [&](const std::vector<std::string>& more) {
      std::vector<std::string> all = line;
      all.insert(all.begin() + 1, more.begin(), more.end());
      return error(all);
    };
    EXPECT_THAT(with({"--local"}), HasSubstr("--local needs --model"));
    EXPECT_THAT(with({"--join=h:1", "--ends", "local"}), HasSubstr("--ends local needs --model"));
    EXPECT_THAT(with({"--local", "--model", "m", "--ends", "remote"}), HasSubstr("--ends remote"));
    EXPECT_THAT(with({"--join=h:1", "--head", "q8"}), HasSubstr("--head"));
    EXPECT_THAT(with({"--join=h:1", "--model=m", "--ends=remote", "--head=q8"}),
                HasSubstr("--head"));
    EXPECT_THAT(with({"--join=h:1", "--ends", "elsewhere"}), HasSubstr("auto, local or remote"));
  }
  EXPECT_EQ(parsed<ModelsFlags>({"models", "--join", "h:1"}).swarm.join,
            std::vector{std::string("h:1")});
  EXPECT_THAT(error({"models", "--join", "nonsense"}), HasSubstr("--join"));
}

TEST(CommandLine, HelpHasGroupsAndExamples) {
  for (const char* command : {"generate", "chat", "serve"}) {
    const std::string help = parsed<Notice>({command, "--help"}).text;
    std::size_t at = 0;
    for (const char* heading :
         {"\nInput:\n", "\nSwarm:\n", "\nThis machine:\n", "\nOther options:\n", "\nExamples:\n"}) {
      const std::size_t found = help.find(heading, at);
      ASSERT_NE(found, std::string::npos) << command << heading;
      at = found;
    }
    // What is shown as an example can be typed.
    std::size_t examples = 0;
    for (std::size_t line = help.find("\n  shoal ", at); line != std::string::npos;
         line = help.find("\n  shoal ", line + 1)) {
      std::string text = help.substr(line + 9, help.find('\n', line + 1) - line - 9);
      text = text.substr(0, text.find(" <"));
      std::vector<std::string> words{""};
      bool quoted = false;
      for (const char c : text) {
        if (c == '"') {
          quoted = !quoted;
        } else if (c == ' ' && !quoted) {
          words.emplace_back();
        } else {
          words.back() += c;
        }
      }
      const auto read = parse_command_line(words, /*input_is_useless=*/false);
      EXPECT_TRUE(read.ok()) << text << ": " << read.status();
      ++examples;
    }
    EXPECT_GE(examples, 2u) << command;
    EXPECT_LE(examples, 4u) << command;
  }
}

TEST(CommandLine, Serve) {
  const auto flags = parsed<ServeFlags>({"serve",
                                         "--model",
                                         "m",
                                         "--join",
                                         "127.0.0.1:7000",
                                         "--listen",
                                         "[::1]:80",
                                         "--api-key",
                                         "a",
                                         "--api-key",
                                         "b",
                                         "--served-model-name",
                                         "n",
                                         "--max-concurrent",
                                         "2",
                                         "--max-queue",
                                         "0",
                                         "--chat-template",
                                         "t",
                                         "--tool-call-parser",
                                         "hermes"});
  EXPECT_EQ(flags.listen, "[::1]:80");
  EXPECT_THAT(flags.api_keys, ElementsAre("a", "b"));
  EXPECT_EQ(flags.served_name, "n");
  EXPECT_EQ(flags.tool_parser, "hermes");
  EXPECT_THAT(error({"serve", "--model", "m", "--local", "--tool-call-parser", "pythonic"}),
              AllOf(HasSubstr("pythonic"), HasSubstr("llama3_json")));
  EXPECT_EQ(flags.max_concurrent, 2);
  EXPECT_EQ(flags.max_queue, 0);
  EXPECT_EQ(flags.chat_template.file, "t");
  EXPECT_EQ(parsed<ServeFlags>({"serve", "--model", "m", "--local"}).listen, "127.0.0.1:8000");
  EXPECT_THAT(error({"serve", "--model", "m"}), HasSubstr("--join"));
  EXPECT_THAT(error({"serve", "--model", "m", "--local", "--listen", "x"}), HasSubstr("--listen"));
  EXPECT_THAT(error({"serve", "--model", "m", "--local", "--api-key", ""}), HasSubstr("--api-key"));
  EXPECT_THAT(error({"serve", "--model", "m", "--local", "--max-concurrent", "0"}),
              HasSubstr("--max-concurrent"));
}

TEST(CommandLine, WhatIsNotGivenIsLeftToTheModel) {
  const auto flags = parsed<GenerateFlags>({"generate", "--model", "m", "--local", "-"});
  EXPECT_FALSE(flags.max_tokens || flags.temperature || flags.top_k || flags.top_p || flags.min_p ||
               flags.repetition_penalty || flags.seed);
  EXPECT_TRUE(flags.swarm.local);
  EXPECT_EQ(flags.prompt, "-");
}

TEST(CommandLine, TheHeadIsStoredOrQ8) {
  EXPECT_EQ(parsed<ScoreFlags>({"score", "--model", "m", "--join", "a:1", "--head", "q8", "f"})
                .swarm.head,
            "q8");
  EXPECT_EQ(
      parsed<GenerateFlags>({"generate", "--model", "m", "--local", "--head", "stored", "text"})
          .swarm.head,
      "stored");
  EXPECT_EQ(parsed<GenerateFlags>({"generate", "--model", "m", "--local", "text"}).swarm.head, "");
  EXPECT_THAT(error({"generate", "--model", "m", "--local", "--head", "q4", "text"}),
              HasSubstr("--head"));
}

TEST(CommandLine, SeveralAddresses) {
  EXPECT_THAT(
      parsed<GenerateFlags>({"generate", "--model", "m", "--join", "a:1", "--join", "b:2", "text"})
          .swarm.join,
      ElementsAre("a:1", "b:2"));
  const auto flags =
      parsed<GenerateFlags>({"generate", "--model", "m", "--join", "a:1", "[::1]:2", "some text"});
  EXPECT_THAT(flags.swarm.join, ElementsAre("a:1", "[::1]:2"));
  EXPECT_EQ(flags.prompt, "some text");
  EXPECT_THAT(parsed<StatusFlags>({"status", "--join=a:1"}).swarm.join, ElementsAre("a:1"));
}

TEST(CommandLine, PromptsMayLookLikeOptions) {
  EXPECT_EQ(parsed<GenerateFlags>({"generate", "--model", "m", "--local", "--", "--json is a flag"})
                .prompt,
            "--json is a flag");
  EXPECT_EQ(parsed<GenerateFlags>({"generate", "--model", "m", "--local", ""}).prompt, "");
}

TEST(CommandLine, ScoreStatusAndSwarm) {
  const auto score = parsed<ScoreFlags>({"score", "--model", "m", "--local", "f.txt"});
  EXPECT_EQ(score.window, 512);
  EXPECT_EQ(score.file, "f.txt");
  EXPECT_EQ(
      parsed<ScoreFlags>({"score", "--model", "m", "--join", "a:1", "--window", "64", "f"}).window,
      64);
  EXPECT_TRUE(parsed<StatusFlags>({"status", "--join", "a:1", "--json"}).json);
  EXPECT_EQ(parsed<SwarmNewFlags>({"swarm", "new", "key"}).file, "key");
}

TEST(CommandLine, HelpIsComplete) {
  const std::string help = parsed<Notice>({"generate", "--help"}).text;
  for (const char* option : {"--model",     "--join",     "--local",      "--head",
                             "--swarm-key", "--identity", "--max-tokens", "--temperature",
                             "--top-k",     "--top-p",    "--min-p",      "--repetition-penalty",
                             "--seed",      "--greedy",   "--stop",       "--json",
                             "--trace",     "--logits",   "--threads",    "PROMPT"}) {
    EXPECT_THAT(help, HasSubstr(option));
  }
  EXPECT_THAT(parsed<Notice>({"--help"}).text, HasSubstr("status"));
  EXPECT_THAT(parsed<Notice>({"--version"}).text, HasSubstr("shoal 0."));
}

TEST(CommandLine, ErrorsSayWhatToDo) {
  EXPECT_THAT(error({"generate", "--model", "m", "text"}), HasSubstr("--join HOST:PORT"));
  EXPECT_THAT(error({"generate", "--model", "m", "text"}), HasSubstr("--local"));
  EXPECT_THAT(error({"generate", "--model", "m", "--local", "--join", "a:1", "text"}),
              HasSubstr("exclude"));
  EXPECT_THAT(error({"generate", "--model", "m", "--join", "a:1", "--kv-dtype", "f16", "text"}),
              HasSubstr("--kv-dtype needs --local"));
  EXPECT_THAT(error({"score", "--model", "m", "--local", "--kv-dtype", "f64", "f"}),
              HasSubstr("--kv-dtype is \"f64\", but must be f32, bf16, f16 or i8"));
  for (const kernels::KvDType dtype : kernels::kKvDTypes) {
    const std::string name = kernels::kv_dtype_name(dtype);
    EXPECT_EQ(parsed<ScoreFlags>({"score", "--model", "m", "--local", "--kv-dtype", name, "f"})
                  .swarm.kv_dtype,
              name);
  }
  EXPECT_THAT(error({"generate", "--model", "m", "--join", "a:1", "--weights", "q4", "text"}),
              HasSubstr("--weights needs --local"));
  EXPECT_THAT(error({"score", "--model", "m", "--local", "--weights", "q5", "f"}),
              HasSubstr("--weights"));
  EXPECT_EQ(parsed<ScoreFlags>({"score", "--model", "m", "--local", "--weights", "q4s", "f"})
                .swarm.weights,
            "q4s");
  EXPECT_THAT(error({"generate", "--model", "m", "--join", "a:1", "--cache", "off", "text"}),
              HasSubstr("--cache and --cache-limit need --local"));
  EXPECT_THAT(error({"score", "--model", "m", "--local", "--cache-limit", "0", "f"}),
              HasSubstr("--cache-limit: \"0\""));
  EXPECT_EQ(
      parsed<ScoreFlags>({"score", "--model", "m", "--local", "--cache", "D", "f"}).swarm.cache,
      "D");
  EXPECT_THAT(error({"generate", "--local", "text"}), HasSubstr("--model"));
  EXPECT_THAT(error({"generate", "--model", "m", "--local"}), HasSubstr("prompt"));
  EXPECT_THAT(error({"status", "--join", "0.0.0.0:7000"}),
              AllOf(HasSubstr("--join: 0.0.0.0:7000"), HasSubstr("every address")));
  EXPECT_THAT(error({"status", "--join", "[fe80::1]:7000"}), HasSubstr("link-local"));
  EXPECT_THAT(error({"generate", "--model", "m", "--join", "a:0", "text"}), HasSubstr("port 0"));
  EXPECT_THAT(error({"generate", "--model", "m", "--join", "nonsense", "text"}),
              HasSubstr("nonsense"));
  EXPECT_THAT(error({"generate", "--model", "m", "--local", "--max-tokens", "0", "x"}),
              HasSubstr("max-tokens is 0, but must be"));
  EXPECT_THAT(error({"generate", "--model", "m", "--local", "--top-k", "many", "x"}),
              HasSubstr("many"));
  EXPECT_THAT(error({"generate", "--model", "m", "--local", "--greedy", "--temperature", "1", "x"}),
              HasSubstr("--greedy"));
  EXPECT_THAT(
      error({"generate", "--model", "m", "--local", "--regex", "a", "--json-schema", "f", "x"}),
      HasSubstr("--regex"));
  EXPECT_THAT(error({"score", "--model", "m", "--local", "--window", "0", "f"}),
              HasSubstr("window is 0"));
  EXPECT_THAT(error({"status"}), HasSubstr("--join"));
  EXPECT_THAT(error({"dance"}), HasSubstr("dance"));
  EXPECT_THAT(error({}), HasSubstr("--help"));
}

TEST(CommandLine, NegativeValuesReachTheRangeCheck) {
  EXPECT_THAT(error({"generate", "--model", "m", "--local", "--temperature", "-1", "x"}),
              HasSubstr("temperature is -1, but must be a number from 0 to 100"));
  EXPECT_THAT(error({"generate", "--model", "m", "--local", "--top-k", "-3", "x"}),
              HasSubstr("top-k is -3, but must be a whole number from 0"));
}

TEST(CommandLine, StopTextsAndPromptsAreTakenAsTheyAreWritten) {
  for (const std::string text : {"[INST]", "[upon]", "[a,b]", "{}", "\"x\"", "%%", "a\\nb",
                                 "- item one", "-5 degrees", "--- title", "127.0.0.1:7000"}) {
    const auto flags = parsed<GenerateFlags>(
        {"generate", "--model", "m", "--join", "a:1", "--stop", text, "--stop=" + text, text});
    EXPECT_THAT(flags.stops, ElementsAre(text, text));
    EXPECT_EQ(flags.prompt, text);
    EXPECT_THAT(flags.swarm.join, ElementsAre("a:1"));
    EXPECT_EQ(parsed<GenerateFlags>({"generate", "--model", "m", "--join", "a:1", text}).prompt,
              text);
  }
}

TEST(CommandLine, WhatIsNotGivenIsReadFromStandardInputUnlessThatIsATerminal) {
  const std::vector<std::string> generate{"generate", "--model", "m", "--local"};
  EXPECT_EQ(std::get<GenerateFlags>(*parse_command_line(generate, false)).prompt, "-");
  const std::vector<std::string> score{"score", "--model", "m", "--local"};
  EXPECT_EQ(std::get<ScoreFlags>(*parse_command_line(score, false)).file, "-");
  EXPECT_THAT(error(generate), HasSubstr("the prompt is missing"));
  EXPECT_THAT(error(score), HasSubstr("the file to score is missing"));
  const std::vector<std::string> empty{"generate", "--model", "m", "--local", ""};
  EXPECT_EQ(std::get<GenerateFlags>(*parse_command_line(empty, false)).prompt, "");
}

TEST(CommandLine, StatusMayCheck) {
  EXPECT_TRUE(parsed<StatusFlags>({"status", "--join", "a:1", "--check"}).check);
  EXPECT_FALSE(parsed<StatusFlags>({"status", "--join", "a:1"}).check);
}

}  // namespace
}  // namespace shoal::client
