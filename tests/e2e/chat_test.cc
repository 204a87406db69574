// SPDX-License-Identifier: Apache-2.0
// shoal chat as people use it: at a terminal, in a pipe, over a swarm that loses a node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "net/identity_tls.h"
#include "tests/client/golden.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/terminal.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Chat : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  static std::vector<std::string> chat(const std::vector<std::string>& more) {
    std::vector<std::string> command{program("shoal"),      "chat",     "--model",
                                     client::demo_folder(), "--greedy", "--no-history"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  static std::vector<std::string> over(const InProcessSwarm& swarm) {
    return chat({"--join", swarm.address(), "--max-tokens", "40"});
  }
  TempDir folder_;
};

TEST_F(Chat, APipeTalksOverASwarmAsLocally) {
  InProcessSwarm swarm(even_spans(8, 3));
  const std::string talk =
      "Once upon a time\n\"\"\"The wolf\nsaid\"\"\"\n/regenerate\n/set max-tokens 5\nAnd then?\n";
  const Outcome there = run(over(swarm), 60'000, talk);
  const Outcome here = run(chat({"--local", "--max-tokens", "40"}), 60'000, talk);
  EXPECT_EQ(there.status, 0) << there.err;
  EXPECT_EQ(here.status, 0) << here.err;
  EXPECT_GT(here.out.size(), 100u);
  EXPECT_EQ(there.out, here.out);
}

TEST_F(Chat, ALostNodeIsALineAndTheTalkGoesOn) {
  InProcessSwarm swarm({{0, 4}, {4, 8}, {4, 8}});
  Terminal terminal(over(swarm));
  ASSERT_TRUE(terminal.shows(">>> ", 10'000)) << terminal.shown();
  terminal.type("Once upon a time\n");
  ASSERT_TRUE(terminal.shows("stopped after 40 tokens", 20'000)) << terminal.shown();
  terminal.type("/stats\n");
  ASSERT_TRUE(terminal.shows("computed in", 5'000)) << terminal.shown();
  terminal.clear();
  swarm.stop(swarm.node(1).stats().sessions > 0 ? 1 : 2);  // whoever has the talk
  terminal.type("The wolf said\n");
  ASSERT_TRUE(terminal.shows("stopped after 40 tokens", 20'000)) << terminal.shown();
  EXPECT_THAT(terminal.shown(), HasSubstr("lost")) << terminal.shown();
}

TEST_F(Chat, CtrlCStopsAnAnswerAndKeepsTheTalk) {
  Terminal terminal(chat({"--local", "--max-tokens", "900"}));
  ASSERT_TRUE(terminal.shows(">>> ", 10'000)) << terminal.shown();
  terminal.type("Once upon a time\n");
  ASSERT_TRUE(terminal.shows("Once upon a time\r\n", 10'000)) << terminal.shown();
  terminal.type("\x03");
  terminal.clear();
  ASSERT_TRUE(terminal.shows(">>> ", 10'000)) << terminal.shown();
  terminal.type("/set max-tokens 6\n");
  terminal.type("And then?\n");
  ASSERT_TRUE(terminal.shows("stopped after 6 tokens", 10'000)) << terminal.shown();
  terminal.clear();
  terminal.type("half a li\x03");
  ASSERT_TRUE(terminal.shows("(/quit or Ctrl-D ends the talk)", 5'000)) << terminal.shown();
  terminal.type("/quit\n");
  EXPECT_EQ(terminal.wait(10'000), 0) << terminal.shown();
  EXPECT_THAT(terminal.shown(), Not(HasSubstr("half a li/quit")));
}

TEST_F(Chat, CtrlCStopsAWaitForALostNodeAndTheTalkGoesOn) {
  // The answer begins so everywhere.
  const Outcome here = run(chat({"--local", "--max-tokens", "12"}), 30'000, "Once upon a time\n");
  ASSERT_GT(here.out.size(), 12u) << here.err;
  InProcessSwarm swarm({{0, 4}, {4, 8}});
  Terminal terminal(chat({"--join", swarm.address(), "--max-tokens", "900"}));
  ASSERT_TRUE(terminal.shows(">>> ", 10'000)) << terminal.shown();
  terminal.type("Once upon a time\n");
  ASSERT_TRUE(terminal.shows("Once upon a time\r\n", 10'000)) << terminal.shown();
  ASSERT_TRUE(terminal.shows(here.out.substr(0, 12), 10'000)) << terminal.shown();
  swarm.stop(1);
  ASSERT_TRUE(terminal.shows("waits [", 10'000)) << terminal.shown();
  terminal.clear();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.shows(">>> ", 3'000)) << terminal.shown();
  const std::string file = folder_.path() + "/talk.json";
  terminal.type("/save " + file + "\n");
  ASSERT_TRUE(terminal.shows("the talk is in", 5'000)) << terminal.shown();
  const auto saved = nlohmann::json::parse(std::ifstream(file)).at("messages");
  ASSERT_EQ(saved.size(), 2u) << saved;
  EXPECT_EQ(saved[1]["role"], "assistant");
  EXPECT_NE(saved[1]["content"], "");

  // Still away: another answer waits anew, and nothing comes of it.
  terminal.clear();
  terminal.type("/regenerate\n");
  ASSERT_TRUE(terminal.shows("waits [", 10'000)) << terminal.shown();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.shows("the talk is as it was before", 3'000)) << terminal.shown();
  terminal.type("/save " + file + "\n");
  ASSERT_TRUE(terminal.shows("the talk is in", 5'000)) << terminal.shown();
  EXPECT_EQ(nlohmann::json::parse(std::ifstream(file)).at("messages"), saved);

  swarm.add({4, 8});
  terminal.type("/set max-tokens 6\n");
  terminal.type("And then?\n");
  ASSERT_TRUE(terminal.shows("stopped after 6 tokens", 20'000)) << terminal.shown();
  terminal.type("/quit\n");
  EXPECT_EQ(terminal.wait(10'000), 0) << terminal.shown();
}

TEST_F(Chat, CtrlCStopsAWaitForBlocksThatWereNeverThere) {
  InProcessSwarm swarm({{0, 4}});
  Terminal terminal(over(swarm));
  ASSERT_TRUE(terminal.shows(">>> ", 10'000)) << terminal.shown();
  terminal.type("Once upon a time\n");
  ASSERT_TRUE(terminal.shows("waits [", 10'000)) << terminal.shown();
  terminal.clear();
  terminal.type("\x03");
  ASSERT_TRUE(terminal.shows("the talk is as it was before", 3'000)) << terminal.shown();
  ASSERT_TRUE(terminal.shows(">>> ", 3'000)) << terminal.shown();
  swarm.add({4, 8});
  terminal.clear();
  terminal.type("Once upon a time\n");
  ASSERT_TRUE(terminal.shows("stopped after 40 tokens", 20'000)) << terminal.shown();
}

TEST_F(Chat, ATalkIsSavedAndGoesOnFromItsFile) {
  const std::string file = folder_.path() + "/talk.json";
  const std::vector<std::string> command = chat({"--local", "--max-tokens", "8"});
  const Outcome first = run(command, 30'000, "Once upon a time\n/save " + file + "\nThe end?\n");
  ASSERT_EQ(first.status, 0) << first.err;
  std::vector<std::string> again = command;
  again.insert(again.end(), {"--load", file});
  const Outcome second = run(again, 30'000, "The end?\n");
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_TRUE(first.out.ends_with(second.out)) << first.out << "\n" << second.out;
}

TEST_F(Chat, MistakesAreOneLineAndDoNotEndTheTalk) {
  const Outcome outcome = run(chat({"--local", "--max-tokens", "4"}), 30'000,
                              "/nope\n/load /nowhere\n/regenerate\n/set top-p 7\nHi\n/stats\n");
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.err, HasSubstr("there is no /nope"));
  EXPECT_THAT(outcome.err, HasSubstr("/nowhere"));
  EXPECT_THAT(outcome.err, HasSubstr("nothing was said yet"));
  EXPECT_THAT(outcome.out, HasSubstr("4 tokens in"));
  const Outcome broken = run(chat({"--local", "--chat-template", "/nowhere"}), 30'000, "Hi\n");
  EXPECT_EQ(broken.status, 1);
  EXPECT_THAT(broken.err, HasSubstr("/nowhere"));
}

TEST_F(Chat, GenerateTakesOneMessage) {
  const auto generate = [](std::vector<std::string> more) {
    std::vector<std::string> command{program("shoal"),      "generate", "--local",      "--model",
                                     client::demo_folder(), "--greedy", "--max-tokens", "12"};
    command.insert(command.end(), more.begin(), more.end());
    return run(command, 30'000);
  };
  const Outcome message = generate({"--chat", "--system", "A story.", "Once upon a time"});
  EXPECT_EQ(message.status, 0) << message.err;
  EXPECT_EQ(message.out, generate({"A story.\nOnce upon a time\n"}).out);
  EXPECT_EQ(generate({"--system", "x", "y"}).status, 2);
}

}  // namespace
}  // namespace shoal::tests
