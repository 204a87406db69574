// SPDX-License-Identifier: Apache-2.0
// What people see at a terminal while they wait, and that a pipe sees nothing of it.
#include "tests/support/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/identity_tls.h"
#include "tests/client/golden.h"
#include "tests/e2e/faulty_node.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/support/process.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> generate(const std::string& address, std::vector<std::string> more) {
  std::vector<std::string> command{program("shoal"), "generate", "--model", client::demo_folder(),
                                   "--greedy"};
  if (!address.empty()) command.insert(command.end(), {"--join", address});
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

class TerminalTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }
};

TEST_F(TerminalTest, ShowsTheWaitThePrefillAndWhyItStopped) {
  InProcessSwarm swarm({{0, 4}});
  Terminal terminal(
      generate(swarm.address(), {"--ignore-eos", "--max-tokens", "3", "Once upon a time"}));
  EXPECT_TRUE(terminal.shows("waits up to 60 s (--wait): no node serves blocks 4..7", 10'000))
      << terminal.shown();
  EXPECT_TRUE(terminal.shows("waits [", 5'000)) << terminal.shown();
  FaultyNode slow(swarm.address(), {4, 8}, 300);
  slow.delay_ms = 600;
  EXPECT_TRUE(terminal.shows("goes on through ", 10'000)) << terminal.shown();
  EXPECT_TRUE(terminal.shows("reads the prompt [", 10'000)) << terminal.shown();
  EXPECT_EQ(terminal.wait(20'000), 0) << terminal.shown();
  EXPECT_THAT(terminal.shown(), HasSubstr("stopped after 3 tokens (--max-tokens)"));
  // The line is wiped before the text.
  const std::size_t bar = terminal.shown().rfind("reads the prompt [");
  const std::size_t wiped = terminal.shown().find("\r\x1b[K", bar);
  ASSERT_NE(wiped, std::string::npos);
  EXPECT_EQ(terminal.shown().substr(terminal.shown().rfind("\x1b[K") + 3).find('['),
            std::string::npos)
      << terminal.shown();
}

TEST_F(TerminalTest, APipeSeesPlainLinesOnly) {
  InProcessSwarm swarm({{0, 4}});
  const Outcome outcome =
      run(generate(swarm.address(), {"--wait", "2", "--max-tokens", "3", "Once"}), 20'000);
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err.find('\r'), std::string::npos) << outcome.err;
  EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos) << outcome.err;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("waits up to 2 s (--wait): no node serves blocks 4..7"));
}

TEST_F(TerminalTest, ADefaultThatCutsATextOffIsNamedEverywhere) {
  const Outcome cut = run(generate("", {"--local", "--ignore-eos", "Once upon a time"}), 60'000);
  EXPECT_EQ(cut.status, 0);
  EXPECT_THAT(cut.err, HasSubstr("--max-tokens N for more"));
  const Outcome asked = run(
      generate("", {"--local", "--ignore-eos", "--max-tokens", "3", "Once upon a time"}), 60'000);
  EXPECT_EQ(asked.err, "");
}

}  // namespace
}  // namespace shoal::tests
