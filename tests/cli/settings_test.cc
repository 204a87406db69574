// SPDX-License-Identifier: Apache-2.0
// Options that nobody typed: the file and the variables, which of the three counts, and one line
// for every mistake that names where it stands. And what is made of a command line's description:
// the manual page and the shells' completions.
#include "cli/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/command.h"
#include "cli/usage.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Read {
  std::vector<std::string> join;
  std::string model, level = "info", name, config;
  std::uint64_t threads = 0;
  double wait = 0;
  bool fresh = false, json = false;
};

class Program {
 public:
  Program() {
    Command& run = program_.command("run", "Serve");
    run.option("--model", "MODEL", "Folder", cli::name(read_.model)).required();
    run.option("--join", "HOST:PORT", "Address", names(read_.join)).rival = "--new-swarm";
    run.flag("--new-swarm", read_.fresh, "Alone").rival = "--join";
    run.option("--threads", "N", "Threads", whole(read_.threads, 1, 99));
    run.option("--wait", "S", "Seconds", real(read_.wait, {0, 10, false, ""}));
    run.option("--public-name", "NAME", "Name, it's yours", text(read_.name));
    run.option("--log-level", "LEVEL", "Log", one_of(read_.level, {"info", "warn"}));
    run.option("--config", "FILE", "Options", cli::name(read_.config));
    Command& plan = program_.command("plan", "Look");
    plan.option("--model", "MODEL", "Folder", cli::name(read_.model)).required();
    plan.flag("--json", read_.json, "JSON");
    plan.option("--config", "FILE", "Options", cli::name(read_.config));
    plan.reads_table_of("run");
    Command& swarm = program_.command("swarm", "Keys");
    swarm.command("new", "Make one").option("--model", "DIR", "Folder", cli::name(read_.model));
    settings_.prefix = "SHOAL_NODE_";
    settings_.file_name = "shoal-node.toml";
  }
  Settings& settings() { return settings_; }
  absl::Status call(const std::vector<std::string>& arguments) {
    auto called = invoke(program_, "shoal-node 1", arguments, settings_);
    if (!called.ok()) return called.status();
    called_ = *std::move(called);
    return absl::OkStatus();
  }
  const Read& read() const { return read_; }
  const Invocation& called() const { return called_; }
  const Command& program() const { return program_; }

 private:
  Read read_;
  Settings settings_;
  Invocation called_;
  Command program_{"shoal-node", "Serves."};
};

class SettingsTest : public testing::Test {
 protected:
  std::string file(const std::string& text) {
    const std::string path = folder_.file("c.toml");
    tests::write_file(path, text);
    return path;
  }
  // What is said of a file with this text.
  std::string error(const std::string& text, std::vector<std::string> arguments = {"run"}) {
    Program program;
    program.settings().files = {file(text)};
    const absl::Status status = program.call(arguments);
    EXPECT_TRUE(is_usage_error(status)) << status;
    return one_line(status);
  }
  tests::TempDir folder_;
};

TEST_F(SettingsTest, EveryKindOfOptionMayStandInAFile) {
  Program program;
  program.settings().files = {folder_.file("missing"), file(R"(
# a comment
model = "/srv/models/a b"
join = ["one:7000", "two:7000"]
threads = 4
wait = 2.5
public-name = "Anna, \"the\" first"
log-level = "warn"
new-swarm = false
[plan]
json = true
)")};
  ASSERT_TRUE(program.call({"run"}).ok());
  EXPECT_EQ(program.read().model, "/srv/models/a b");
  EXPECT_THAT(program.read().join, ElementsAre("one:7000", "two:7000"));
  EXPECT_EQ(program.read().threads, 4u);
  EXPECT_EQ(program.read().wait, 2.5);
  EXPECT_EQ(program.read().name, "Anna, \"the\" first");
  EXPECT_EQ(program.read().level, "warn");
  EXPECT_FALSE(program.read().fresh);
  EXPECT_FALSE(program.read().json);
  // Of the options that plan has, it takes the same, and its own.
  ASSERT_TRUE(program.call({"plan"}).ok());
  EXPECT_TRUE(program.read().json);
}

TEST_F(SettingsTest, ACommandMayReadAnothersTableAfterItsOwn) {
  Program program;
  program.settings().files = {
      file("model = \"all\"\n[run]\nmodel = \"run\"\nthreads = 2\n[plan]\njson = true\n")};
  ASSERT_TRUE(program.call({"run"}).ok());
  EXPECT_EQ(program.read().model, "run");
  // Of what it knows.
  ASSERT_TRUE(program.call({"plan"}).ok());
  EXPECT_EQ(program.read().model, "run");
  EXPECT_TRUE(program.read().json);
  Program own;
  own.settings().files = {file("[run]\nmodel = \"run\"\n[plan]\nmodel = \"plan\"\n")};
  ASSERT_TRUE(own.call({"plan"}).ok());
  EXPECT_EQ(own.read().model, "plan");
}

TEST_F(SettingsTest, WhatIsTypedCountsMoreThanAVariableAndThatMoreThanTheFile) {
  Program program;
  program.settings().files = {
      file("model = \"file\"\nthreads = 1\nwait = 1\njoin = \"file:1\"\n"
           "[run]\nwait = 2\n")};
  program.settings().variables = {{"SHOAL_NODE_MODEL", "variable"},
                                  {"SHOAL_NODE_THREADS", "2"},
                                  {"SHOAL_NODE_PORT", "tcp://10.0.0.1"},
                                  {"SHOAL_NODE_JOIN", "a:1 b:1\tc:1"},
                                  {"SHOAL_NODE_LOG_LEVEL", ""}};
  ASSERT_TRUE(program.call({"run", "--model", "typed"}).ok());
  EXPECT_EQ(program.read().model, "typed");
  EXPECT_EQ(program.read().threads, 2u);
  EXPECT_EQ(program.read().wait, 2);
  EXPECT_THAT(program.read().join, ElementsAre("a:1", "b:1", "c:1"));
  EXPECT_EQ(program.read().level, "info");
}

TEST_F(SettingsTest, AnotherWayOfSayingTheSameHidesTheFiles) {
  Program joins;
  joins.settings().files = {file("model = \"m\"\nnew-swarm = true\n")};
  ASSERT_TRUE(joins.call({"run", "--join", "a:1"}).ok());
  EXPECT_FALSE(joins.read().fresh);
  Program begins;
  begins.settings().files = {file("model = \"m\"\njoin = \"a:1\"\n")};
  begins.settings().variables = {{"SHOAL_NODE_NEW_SWARM", "yes"}};
  ASSERT_TRUE(begins.call({"run"}).ok());
  EXPECT_TRUE(begins.read().fresh);
  EXPECT_THAT(begins.read().join, IsEmpty());
}

TEST_F(SettingsTest, ConfigNamesAnotherFileOrNone) {
  const std::string other = folder_.file("other.toml");
  tests::write_file(other, "model = \"other\"\n");
  Program program;
  program.settings().files = {file("model = \"first\"\n")};
  ASSERT_TRUE(program.call({"run", "--config", other}).ok());
  EXPECT_EQ(program.read().model, "other");
  Program none;
  none.settings().files = {file("model = \"first\"\n")};
  EXPECT_THAT(one_line(none.call({"run", "--config=off"})), HasSubstr("--model is missing"));
  Program by_variable;
  by_variable.settings().variables = {{"SHOAL_NODE_CONFIG", other}};
  ASSERT_TRUE(by_variable.call({"run"}).ok());
  EXPECT_EQ(by_variable.read().model, "other");
  // Named, but not there: not the user's idea of a default.
  Program missing;
  const absl::Status status = missing.call({"run", "--config", "/nowhere/x.toml"});
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(one_line(status), HasSubstr("/nowhere/x.toml"));
  // Help needs no good file; a command without --config reads none.
  Program broken;
  broken.settings().files = {file("=")};
  EXPECT_TRUE(broken.call({"run", "--help"}).ok());
  EXPECT_TRUE(broken.call({"swarm", "new"}).ok());
}

TEST_F(SettingsTest, EveryMistakeNamesFileAndLineAndTheWayOut) {
  const std::string at = folder_.file("c.toml") + ", line ";
  EXPECT_THAT(error("model = \"m\"\nthreds = 3\n"),
              HasSubstr(at + "2: \"threds\" is no option of shoal-node: did you mean threads?"));
  EXPECT_THAT(error("new_swarm = true\n"), HasSubstr("did you mean new-swarm?"));
  EXPECT_THAT(error("\n\nthreads = 0\n"),
              HasSubstr(at + "3: threads is 0, but must be a whole number from 1 to 99"));
  EXPECT_THAT(error("threads = \"\"\n"), HasSubstr(at + "1: threads is empty"));
  EXPECT_THAT(error("threads = [1, 2]\n"), HasSubstr("is a list, but takes one value"));
  EXPECT_THAT(error("threads = true\n"), HasSubstr("takes a value: threads = \"N\""));
  EXPECT_THAT(error("new-swarm = \"yes\"\n"), HasSubstr("new-swarm must be true or false"));
  EXPECT_THAT(error("log-level = \"wran\"\n"), HasSubstr("did you mean warn?"));
  EXPECT_THAT(error("model = 2020-01-01\n"), HasSubstr(at + "1: model must be a text in quotes"));
  EXPECT_THAT(error("join = [[\"a\"]]\n"), HasSubstr("a list of texts"));
  EXPECT_THAT(error("[rum]\nmodel = \"m\"\n"),
              HasSubstr(at + "1: [rum] is no command of shoal-node: did you mean run?"));
  EXPECT_THAT(error("[run]\njson = true\n"), HasSubstr("\"json\" is no option of shoal-node run"));
  EXPECT_THAT(error("model = m\n"), HasSubstr(at + "1: "));
  // The library takes some of these for impossible.
  for (const char* text : {"[!]\n", "[run.!]\n", "!=1\n", "\xc3\xa4 = 1\n", "model = \xd1\x9e :\n",
                           "x = {!=1}\n", "[[!]]\n", "x = { =1}\n"}) {
    EXPECT_THAT(error(text), HasSubstr(at + "1: ")) << text;
  }
  EXPECT_THAT(error("model = \"a\"\nmodel = \"b\"\n"), HasSubstr(at + "2: "));
  EXPECT_THAT(error(std::string(kMaxSettingsBytes + 1, '#')), HasSubstr("is longer than"));
  EXPECT_THAT(error("model = \"\xff\"\n"), HasSubstr(at + "1"));
}

TEST_F(SettingsTest, AVariableThatIsASlipIsTold) {
  Program program;
  program.settings().variables = {{"SHOAL_NODE_THREAD", "2"}};
  EXPECT_THAT(one_line(program.call({"run", "--model", "m"})),
              HasSubstr("SHOAL_NODE_THREAD is unknown: did you mean SHOAL_NODE_THREADS?"));
  Program wrong;
  wrong.settings().variables = {{"SHOAL_NODE_THREADS", "many"}};
  EXPECT_THAT(one_line(wrong.call({"run", "--model", "m"})),
              HasSubstr("SHOAL_NODE_THREADS is \"many\", but must be a whole number"));
  Program unclear;
  unclear.settings().variables = {{"SHOAL_NODE_NEW_SWARM", "perhaps"}};
  EXPECT_THAT(one_line(unclear.call({"run", "--model", "m"})), HasSubstr("must be true or false"));
}

TEST_F(SettingsTest, LaterChecksSayWhereAnOptionIsFrom) {
  Program program;
  program.settings().files = {file("model = \"m\"\njoin = \"a\"\n")};
  ASSERT_TRUE(program.call({"run", "--threads", "3"}).ok());
  const absl::Status told =
      with_origins(usage_error("--join: \"a\" has no port, and --threads"), program.called());
  EXPECT_TRUE(is_usage_error(told));
  EXPECT_THAT(one_line(told), HasSubstr("(--join is from " + folder_.file("c.toml") + ", line 2)"));
  // Another option whose name begins so.
  const absl::Status other = with_origins(usage_error("--join-timeout"), program.called());
  EXPECT_EQ(one_line(other), one_line(usage_error("--join-timeout")));
}

TEST_F(SettingsTest, WhatIsWrittenIsReadAgain) {
  const std::vector<std::string> odd = {"007", "a\"b\\c", "tab\there", "\xc3\xa4", "12", "0", "-1"};
  std::vector<Assignment> written = {{"fresh", {}, false}, {"join", odd, true}};
  for (const std::string& text : odd) {
    written.push_back({"key" + std::to_string(written.size()), {text}, false});
  }
  EXPECT_EQ(settings_text({}, "run"), "");
  EXPECT_EQ(settings_text({{"a", {"b"}, false}}, "run"), "[run]\na = \"b\"\n");
  const auto read = parse_settings(settings_text(written), "x");
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), written.size());
  for (const Setting& one : *read) {
    const auto same = std::find_if(written.begin(), written.end(),
                                   [&](const Assignment& w) { return w.key == one.key; });
    ASSERT_NE(same, written.end());
    EXPECT_EQ(one.texts, same->texts) << one.key;
    EXPECT_EQ(one.on.value_or(false), same->texts.empty());
  }
}

TEST_F(SettingsTest, OfThisProcess) {
  ::setenv("XDG_CONFIG_HOME", "/x/config", 1);
  ::setenv("SHOAL_NODE_JOIN", "a:1", 1);
  const Settings settings = settings_of_process("shoal-node");
  EXPECT_THAT(settings.files,
              ElementsAre("/x/config/shoal/shoal-node.toml", "/etc/shoal/shoal-node.toml"));
  EXPECT_THAT(settings.variables, testing::Contains(testing::Pair("SHOAL_NODE_JOIN", "a:1")));
  ::unsetenv("XDG_CONFIG_HOME");
  ::unsetenv("SHOAL_NODE_JOIN");
}

TEST_F(SettingsTest, TheManualHasEveryOptionAndTextsAsTheyAre) {
  Program program;
  ASSERT_TRUE(program.call({"--help-man"}).ok());
  const std::string page = program.called().print;
  EXPECT_THAT(page, HasSubstr(".TH \"SHOAL\\-NODE\" 1"));
  for (const Command& command : program.program().commands()) {
    EXPECT_THAT(page, HasSubstr(".SS shoal\\-node " + command.name()));
  }
  EXPECT_THAT(page, HasSubstr("\\fB\\-\\-public\\-name\\fR \\fINAME\\fR\nName, it's yours.\n"));
  EXPECT_THAT(page, HasSubstr("SHOAL_NODE_MODEL is"));
  EXPECT_THAT(page, HasSubstr("/etc/shoal/shoal\\-node.toml"));
}

// Bash itself completes.
TEST_F(SettingsTest, BashCompletesCommandsOptionsWordsAndFiles) {
  Program program;
  ASSERT_TRUE(program.call({"--completion", "bash"}).ok());
  tests::write_file(folder_.file("script"), program.called().print);
  tests::write_file(folder_.file("known.toml"), "");
  const auto complete = [&](const std::string& line) {
    const std::string words = line.ends_with(' ') ? line + "''" : line;
    const tests::Outcome outcome = tests::run(
        {"/bin/bash", "-c",
         "cd " + folder_.path() + " && . ./script && COMP_WORDS=(" + words +
             ") && COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && _shoal_node && echo ${COMPREPLY[@]}"},
        10'000);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    return outcome.out;
  };
  EXPECT_EQ(complete("shoal-node "), "run plan swarm --help --version\n");
  EXPECT_EQ(complete("shoal-node pl"), "plan\n");
  EXPECT_EQ(complete("shoal-node run --j"), "--join\n");
  EXPECT_EQ(complete("shoal-node plan --j"), "--json\n");
  EXPECT_EQ(complete("shoal-node run --log-level "), "info warn\n");
  EXPECT_EQ(complete("shoal-node run --log-level = w"), "warn\n");
  EXPECT_EQ(complete("shoal-node run --config kn"), "known.toml\n");
  EXPECT_EQ(complete("shoal-node swarm n"), "new\n");
  EXPECT_EQ(complete("shoal-node run --threads "), "\n");
}

TEST_F(SettingsTest, OtherShellsAreNamed) {
  Program program;
  for (const char* shell : {"zsh", "fish"}) {
    ASSERT_TRUE(program.call({"--completion", shell}).ok());
    for (const char* part : {"public-name", "log-level", "info warn", "swarm", "it'\\''s"}) {
      EXPECT_THAT(program.called().print, HasSubstr(part)) << shell;
    }
    const tests::Outcome outcome =
        tests::run({"/bin/bash", "-c", std::string("command -v ") + shell + " || exit 77"}, 5'000);
    if (outcome.status == 77) continue;  // not on this machine
    tests::write_file(folder_.file(shell), program.called().print);
    const tests::Outcome read = tests::run({shell, "-n", folder_.file(shell)}, 10'000);
    EXPECT_EQ(read.status, 0) << read.err;
  }
  EXPECT_THAT(one_line(program.call({"--completion", "tcsh"})), HasSubstr("bash, zsh or fish"));
}

}  // namespace
}  // namespace shoal::cli
