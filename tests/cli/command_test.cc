// SPDX-License-Identifier: Apache-2.0
// The reader of command lines: texts arrive as they were typed, and every mistake is one line that
// names it and the way out.
#include "cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/shown.h"
#include "cli/suggest.h"
#include "cli/usage.h"

namespace shoal::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Seen {
  std::string model, prompt, level = "info", key;
  std::vector<std::string> stops, join;
  std::optional<std::int64_t> tokens;
  std::uint64_t seed = 0;
  double heat = 1;
  bool json = false;
  std::size_t operands = 0;
  std::string print;
};

class Program {
 public:
  Program() {
    Command& go = program_.command("generate", "Go on");
    go.option("--model", "DIR", "Folder", name(seen_.model)).required();
    go.option("--join", "HOST:PORT", "Address", names(seen_.join)).more =
        [](const std::string& text) { return text.find(':') != std::string::npos; };
    go.option("--max-tokens", "N", "Tokens", whole(seen_.tokens, 1, 1000));
    go.option("--min-p", "P", "Filter", real(seen_.heat, {0, 1, false, ""}));
    go.option("--seed", "S", "Seed", whole(seen_.seed, 0, ~std::uint64_t{0}));
    go.option("--temperature", "T", "Heat", real(seen_.heat, {0, 100, true, "(1 turns it off)"}));
    go.option("--stop", "TEXT", "Stop", texts(seen_.stops));
    go.option("--log-level", "LEVEL", "Log", one_of(seen_.level, {"debug", "info", "warn"}));
    go.flag("--json", seen_.json, "JSON");
    go.operand({"PROMPT", "Text", text(seen_.prompt), false, "the prompt", "put quotes around it"});
    Command& status = program_.command("status", "Who");
    status.option("--join", "HOST:PORT", "Address", names(seen_.join)).more =
        [](const std::string& text) { return text.find(':') != std::string::npos; };
    status.option("--window", "N", "Window", whole(seen_.tokens, 1, 9));
    program_.command("swarm", "Keys")
        .command("new", "Make one")
        .operand({"FILE", "Key", name(seen_.key), true, "the key file", "make one at a time"});
    program_.elsewhere("run", "shoal-node runs nodes");
  }
  absl::StatusOr<Invocation> call(const std::vector<std::string>& arguments) {
    return invoke(program_, "shoal 1", arguments);
  }
  Seen& seen() { return seen_; }

 private:
  Seen seen_;
  Command program_{"shoal", "Generates"};
};

Seen run(const std::vector<std::string>& arguments) {
  Program program;
  const auto called = program.call(arguments);
  EXPECT_TRUE(called.ok()) << called.status();
  if (called.ok()) {
    program.seen().operands = called->operands;
    program.seen().print = called->print;
  }
  return program.seen();
}
Seen generate(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"generate", "--model", "m"});
  return run(arguments);
}

std::string error(const std::vector<std::string>& arguments) {
  Program program;
  const auto called = program.call(arguments);
  EXPECT_FALSE(called.ok()) << testing::PrintToString(arguments);
  EXPECT_TRUE(is_usage_error(called.status()));
  const std::string text = one_line(called.status());
  EXPECT_THAT(text, Not(HasSubstr("\n")));
  return text;
}
std::string generate_error(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"generate", "--model", "m"});
  return error(arguments);
}

const std::vector<std::string> kOddTexts = {"[upon]",
                                            "[INST]",
                                            "[a,b]",
                                            "[[x]]",
                                            "[]",
                                            "[",
                                            "]",
                                            "{}",
                                            "{x}",
                                            "a,b",
                                            ",",
                                            "\"q\"",
                                            "'q'",
                                            "\"",
                                            "'",
                                            "`x`",
                                            "\\",
                                            "\\n",
                                            "a\\",
                                            "%",
                                            "%%",
                                            "%s",
                                            "@file",
                                            "#",
                                            ";",
                                            "=",
                                            "a=b",
                                            "$HOME",
                                            " ",
                                            "  x ",
                                            "\n",
                                            "\t",
                                            "!",
                                            "true",
                                            "false",
                                            "-",
                                            "-x",
                                            "-5",
                                            "-5 degrees",
                                            "- item one",
                                            "--- title",
                                            "---",
                                            "-.5",
                                            "127.0.0.1:7000",
                                            "note:7",
                                            "[::1]:80",
                                            "/etc/passwd",
                                            "book.txt",
                                            "config=1",
                                            "ünïcödé",
                                            "\xe2\x80\x94",
                                            "generate",
                                            "help",
                                            "\x01",
                                            "~",
                                            "*",
                                            "?",
                                            "1e3",
                                            "null",
                                            "--a b",
                                            "--stop=",
                                            "--stop=x"};

TEST(CommandReader, TextsArriveAsTheyWereTyped) {
  for (const std::string& text : kOddTexts) {
    EXPECT_THAT(generate({"--stop", text, "p"}).stops, ElementsAre(text)) << text;
    EXPECT_THAT(generate({"--stop=" + text, "p"}).stops, ElementsAre(text)) << text;
    EXPECT_THAT(generate({"--stop", text, "--stop", text, "p"}).stops, ElementsAre(text, text));
    EXPECT_EQ(generate({"--", text}).prompt, text);
    if (!text.empty()) {
      EXPECT_EQ(run({"generate", "--model=" + text, "p"}).model, text);
    }
  }
  // "--" and what is the name of an option stand for themselves behind an equals sign.
  for (const std::string text : {"--", "--json", "--help", "-h", "--json=1", ""}) {
    EXPECT_THAT(generate({"--stop=" + text, "p"}).stops, ElementsAre(text)) << text;
    EXPECT_EQ(generate({"--", text}).prompt, text);
  }
  EXPECT_THAT(generate({"--stop", "--", "p"}).stops, ElementsAre("--"));
  EXPECT_THAT(generate({"--stop", "-h", "p"}).stops, ElementsAre("-h"));
  EXPECT_THAT(generate({"--stop", "", "p"}).stops, ElementsAre(""));
}

TEST(CommandReader, APromptNeedsNoDashesBeforeIt) {
  for (const std::string text :
       {"- item one", "-5 degrees", "-5", "--- title", "---", "-", "-item one of two", "",
        "127.0.0.1:7000", "note:7", "/etc/passwd", "[INST] x [/INST]", "{}", "--a b", "help",
        "generate", "\xe2\x80\x94 said he", "-\xc3\xa9"}) {
    const Seen seen = generate({text});
    EXPECT_EQ(seen.prompt, text);
    EXPECT_EQ(seen.operands, 1u);
    EXPECT_EQ(generate({"--json", text, "--seed", "5"}).prompt, text);
  }
  EXPECT_EQ(generate({"--join", "a:1", "note:7"}).prompt, "note:7");
  EXPECT_THAT(generate({"--join", "a:1", "note:7"}).join, ElementsAre("a:1"));
  EXPECT_EQ(generate({}).operands, 0u);
  EXPECT_EQ(generate({"--", "--json"}).prompt, "--json");
  EXPECT_FALSE(generate({"--", "--json"}).json);
}

TEST(CommandReader, AnOptionOfSeveralValues) {
  const Seen seen = generate({"--join", "a:1", "b:2", "some text"});
  EXPECT_THAT(seen.join, ElementsAre("a:1", "b:2"));
  EXPECT_EQ(seen.prompt, "some text");
  EXPECT_THAT(run({"status", "--join", "a:1", "b:2"}).join, ElementsAre("a:1", "b:2"));
  EXPECT_THAT(error({"status", "--join", "a:1", "--window", "3", "b:2"}),
              HasSubstr("write --join b:2"));
}

TEST(CommandReader, NumbersAreDecimalAndNamedWithTheirRange) {
  EXPECT_EQ(generate({"--max-tokens", "007"}).tokens, 7);
  EXPECT_EQ(generate({"--seed", "18446744073709551615"}).seed, ~std::uint64_t{0});
  for (const std::string text :
       {"0", "1001", "-1", "1e3", "0x10", "+5", " 5", "5 ", "5.0", "nan", "inf", "banana",
        "99999999999999999999999", "--5", "5,000", "1_0", "\xd9\xa5", "five", "-"}) {
    for (const auto& arguments :
         std::vector<std::vector<std::string>>{{"--max-tokens", text}, {"--max-tokens=" + text}}) {
      EXPECT_THAT(generate_error(arguments),
                  AllOf(HasSubstr("--max-tokens is "), HasSubstr("from 1 to 1000")))
          << text;
    }
  }
  EXPECT_THAT(generate_error({"--max-tokens", "0"}), HasSubstr("--max-tokens is 0, but must be"));
  EXPECT_THAT(generate_error({"--max-tokens", ""}), HasSubstr("--max-tokens is empty"));
  EXPECT_THAT(generate_error({"--seed", "18446744073709551616"}),
              HasSubstr("from 0 to 18446744073709551615"));
  for (const std::string text : {".5", "5e-1", "0.50"}) {
    EXPECT_EQ(generate({"--temperature", text}).heat, 0.5);
  }
  EXPECT_EQ(generate({"--min-p", "1e-999"}).heat, 0);
  for (const std::string text :
       {"0", "-0.5", "100.1", "1e999", "nan", "inf", "-inf", "NaN", "0x1p3", "1.", "e5", "1e",
        "1.2.3", "1,5", " 1", "1 ", "+1", ".", "infinity"}) {
    if (text == "1.") continue;  // a number all the same
    EXPECT_THAT(generate_error({"--temperature", text}),
                AllOf(HasSubstr("--temperature is "), HasSubstr("above 0 and at most 100")))
        << text;
  }
}

TEST(CommandReader, UnknownOptionsNameThemselves) {
  EXPECT_THAT(error({"generate", "-m", "x", "p"}),
              HasSubstr("unknown option -m: did you mean --model"));
  EXPECT_THAT(error({"generate", "-model", "x"}), HasSubstr("did you mean --model?"));
  EXPECT_THAT(error({"generate", "--modle", "x"}),
              HasSubstr("unknown option --modle: did you mean --model?"));
  EXPECT_THAT(generate_error({"--max_tokens=5"}), HasSubstr("did you mean --max-tokens?"));
  EXPECT_THAT(generate_error({"--MAX-TOKENS", "5"}), HasSubstr("did you mean --max-tokens?"));
  EXPECT_THAT(generate_error({"--max-new-tokens", "5"}), HasSubstr("did you mean --max-tokens?"));
  EXPECT_THAT(generate_error({"--temp", "5"}), HasSubstr("did you mean --temperature?"));
  EXPECT_THAT(generate_error({"--xyzzy"}),
              AllOf(HasSubstr("unknown option --xyzzy"), HasSubstr("goes behind --")));
  EXPECT_THAT(generate_error({"-5x=3", "-x"}), HasSubstr("unknown option -x"));
  EXPECT_THAT(generate_error({"--window", "5"}), HasSubstr("--window is an option of status"));
  EXPECT_THAT(error({"--model", "m", "generate"}), HasSubstr("shoal generate --model"));
  EXPECT_THAT(generate_error({"\xe2\x80\x94json"}), HasSubstr("write --json"));
  EXPECT_THAT(generate_error({"--" + std::string(100'000, 'x')}), HasSubstr("unknown option"));
  EXPECT_LT(generate_error({"--" + std::string(100'000, 'x')}).size(), 300u);
}

TEST(CommandReader, ValuesThatAreMissingEmptyOrTooMany) {
  EXPECT_THAT(generate_error({"--seed"}), HasSubstr("--seed needs a value"));
  EXPECT_THAT(generate_error({"--seed", "--json"}), HasSubstr("followed by the option --json"));
  EXPECT_THAT(generate_error({"--stop", "--json"}), HasSubstr("write --stop=--json"));
  EXPECT_THAT(error({"generate", "--model", "--", "p"}), HasSubstr("--model needs a value"));
  EXPECT_THAT(error({"generate", "--model", "", "p"}), HasSubstr("--model is empty"));
  EXPECT_THAT(error({"generate", "--model=", "p"}), HasSubstr("--model is empty"));
  EXPECT_THAT(generate_error({"--json=true"}), HasSubstr("--json takes no value"));
  EXPECT_THAT(generate_error({"--json="}), HasSubstr("--json takes no value"));
  EXPECT_THAT(generate_error({"--seed", "1", "--seed", "2"}),
              AllOf(HasSubstr("twice"), HasSubstr("\"1\""), HasSubstr("\"2\"")));
  EXPECT_EQ(generate({"--seed", "3", "--seed=3", "--json", "--json"}).seed, 3u);
  EXPECT_THAT(error({"generate", "p"}), HasSubstr("--model is missing"));
  EXPECT_THAT(error({"swarm", "new"}), HasSubstr("the key file is missing"));
}

TEST(CommandReader, WordsTooMuchAreToldInTheirOrder) {
  EXPECT_THAT(generate_error({"hello", "big", "world"}),
              AllOf(HasSubstr("there are 3"), HasSubstr("\"hello\" \"big\" \"world\""),
                    HasSubstr("quotes")));
  EXPECT_THAT(error({"status", "foo", "bar"}),
              AllOf(HasSubstr("\"foo\""), HasSubstr("options only")));
  EXPECT_THAT(error({"status", "a:1"}), HasSubstr("write --join a:1"));
  EXPECT_THAT(error({"swarm", "new", "a", "b"}), HasSubstr("\"a\" \"b\""));
}

TEST(CommandReader, Commands) {
  EXPECT_THAT(error({}), AllOf(HasSubstr("generate, status or swarm"), HasSubstr("shoal --help")));
  EXPECT_THAT(error({"swarm"}), AllOf(HasSubstr("new"), HasSubstr("shoal swarm --help")));
  EXPECT_THAT(error({"genrate", "--help"}), HasSubstr("did you mean generate?"));
  EXPECT_THAT(error({"gen"}), HasSubstr("did you mean generate?"));
  EXPECT_THAT(error({"dance"}), HasSubstr("use generate, status or swarm"));
  EXPECT_THAT(error({"run", "--model", "x"}), HasSubstr("shoal-node runs nodes"));
  EXPECT_THAT(error({""}), HasSubstr("\"\" is not a command"));
  EXPECT_THAT(error({"swarm", "nwe"}), HasSubstr("did you mean new?"));
  EXPECT_EQ(run({"swarm", "new", "k"}).key, "k");
  EXPECT_EQ(run({"--", "swarm", "new", "k"}).key, "k");
}

TEST(CommandReader, WordsOfAList) {
  EXPECT_EQ(generate({"--log-level", "warn"}).level, "warn");
  EXPECT_THAT(generate_error({"--log-level", "wran"}),
              AllOf(HasSubstr("--log-level is \"wran\""), HasSubstr("debug, info or warn"),
                    HasSubstr("did you mean warn?")));
  EXPECT_THAT(generate_error({"--log-level", "WARN"}), HasSubstr("did you mean warn?"));
  EXPECT_THAT(generate_error({"--log-level", ""}), HasSubstr("--log-level"));
}

TEST(CommandReader, HelpAndVersionAnywhere) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"generate", "--help"},
                                             {"--help", "generate"},
                                             {"help", "generate"},
                                             {"-h", "generate"},
                                             {"generate", "-h"},
                                             {"generate", "x", "--bogus", "-h"},
                                             {"generate", "--seed", "--help"},
                                             {"generate", "a", "b", "--help"}}) {
    EXPECT_THAT(run(arguments).print,
                AllOf(HasSubstr("Usage: shoal generate --model DIR"), HasSubstr("--temperature T")))
        << testing::PrintToString(arguments);
  }
  EXPECT_THAT(run({"--help"}).print, HasSubstr("Usage: shoal"));
  EXPECT_THAT(run({"help"}).print, HasSubstr("status"));
  EXPECT_THAT(run({"swarm", "help"}).print, HasSubstr("Usage: shoal swarm"));
  EXPECT_THAT(run({"help", "swarm", "new"}).print, HasSubstr("Usage: shoal swarm new"));
  EXPECT_EQ(run({"--version"}).print, "shoal 1\n");
  EXPECT_EQ(run({"generate", "--version"}).print, "shoal 1\n");
  EXPECT_EQ(run({"generate", "--model", "m", "--", "--help"}).print, "");
  EXPECT_EQ(error({"help", "dance"}).substr(0, 7), "\"dance\"");
}

TEST(CommandReader, HelpFitsATerminal) {
  const std::string help = run({"generate", "--help"}).print;
  std::istringstream lines(help);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;
}

TEST(CommandReader, TextsMustBeUtf8AndErrorsShowNothingOdd) {
  EXPECT_THAT(generate_error({"a\xff"}),
              AllOf(HasSubstr("UTF-8"), HasSubstr("the prompt"), HasSubstr("\\xff")));
  EXPECT_THAT(generate_error({"--stop", "\xc3(", "p"}),
              AllOf(HasSubstr("UTF-8"), HasSubstr("--stop")));
  EXPECT_EQ(run({"generate", "--model", "\xff", "p"}).model, "\xff");  // a file's name is any bytes
  const std::string text = error({"\x1b[31mred\nline\xff\xc2\x9b" + std::string(1000, 'x')});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_THAT(text, HasSubstr("\\x1b[31mred\\x0aline\\xff\\xc2\\x9b"));
  EXPECT_LT(text.size(), 250u);
}

TEST(Utf8, WhatIsAndWhatIsNot) {
  for (const char* text : {"", "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\x9f",
                           "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"}) {
    EXPECT_EQ(not_utf8_at(text), std::nullopt) << text;
  }
  for (const char* text : {"\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80",
                           "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff",
                           "\xc3", "\xe2\x82", "\xf0\x9f\x90", "\xc3(", "\xe2(\xac"}) {
    EXPECT_EQ(not_utf8_at("ok" + std::string(text)), 2u) << testing::PrintToString(text);
  }
}

TEST(Suggest, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("modle", "model"), 1u);  // a swap
  EXPECT_EQ(edit_distance("same", "same"), 0u);
}

TEST(Suggest, OnlyWhatIsNear) {
  const std::vector<std::string> words = {"--model", "--max-tokens", "--min-p", "--seed"};
  EXPECT_THAT(similar("--m", words), ElementsAre("--model", "--max-tokens", "--min-p"));
  EXPECT_THAT(similar("--sed", words), ElementsAre("--seed"));
  EXPECT_THAT(similar("--zebra", words), ElementsAre());
  EXPECT_THAT(similar("--", words), ElementsAre());
  EXPECT_EQ(did_you_mean("--m", words), ": did you mean --model, --max-tokens or --min-p?");
}

TEST(Usage, TheStatusOfAMistakeIsTwoAndOfAFailureOne) {
  EXPECT_EQ(exit_status(usage_error("x")), 2);
  EXPECT_EQ(exit_status(absl::InvalidArgumentError("config.json is broken")), 1);
  EXPECT_EQ(exit_status(as_usage_error(absl::NotFoundError("y"))), 2);
  EXPECT_TRUE(as_usage_error(absl::OkStatus()).ok());
  EXPECT_EQ(one_line(absl::UnavailableError("a\nb\tc\x1b\n")), "a b c\\x1b");
}

}  // namespace
}  // namespace shoal::cli
