// SPDX-License-Identifier: Apache-2.0
// What machines do to programs: terminals that close, readers that go, swarms that start later than
// their members.
#include "tests/cli/machines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "tests/support/terminal.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;

TEST_F(Machines, NohupOutlivesItsTerminalAndSigtermStillEndsIt) {
  Process process(after("trap '' HUP INT", node("a", {"--new-swarm"})));
  ready("a", process);
  process.signal(SIGHUP);
  process.signal(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_TRUE(process.running()) << process.err();
  EXPECT_TRUE(online("a"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(10'000), 0) << process.err();
}

TEST_F(Machines, WithoutNohupAClosedTerminalDrains) {
  Terminal terminal(node("a", {"--new-swarm"}));
  ASSERT_TRUE(terminal.shows("is online at", 20'000)) << terminal.shown();
  EXPECT_TRUE(online("a"));
  EXPECT_EQ(terminal.hang_up(10'000), 0);
  EXPECT_FALSE(online("a"));
}

TEST_F(Machines, AJobOfAShellWhoseTerminalClosesDrainsToo) {
  // The shell, not the kernel, tells it: jobs have a process group of their own.
  std::string line;
  for (const std::string& word : node("a", {"--new-swarm"})) line += "'" + word + "' ";
  Terminal terminal({"/bin/bash", "--norc", "-im"});
  terminal.type(line + "&\n");
  ASSERT_TRUE(eventually(20'000, [&] { return online("a"); })) << terminal.shown();
  terminal.hang_up(5'000);
  EXPECT_TRUE(eventually(10'000, [&] { return !online("a"); }));
}

TEST_F(Machines, OutputsThatNobodyReadsStopNoNode) {
  // A pipe without reader, a full disk, and no descriptors at all.
  for (const char* outputs :
       {"exec > >(exit) 2>&1; sleep 0.2", "exec >/dev/full 2>&1", "exec <&- >&- 2>&-"}) {
    Process process(after(outputs, node("a", {"--new-swarm", "--log-level", "debug"})));
    const auto json = ready("a", process);
    const Outcome text = run({program("shoal"), "generate", "--model", kDemoModel, "--join",
                              json.value("address", ""), "--greedy", "--max-tokens", "4", "Once"},
                             30'000);
    EXPECT_EQ(text.status, 0) << outputs << ": " << text.err;
    EXPECT_TRUE(process.running()) << outputs;
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(10'000), 0) << outputs;
  }
}

TEST_F(Machines, AClientWhoseReaderGoesEndsQuietlyAndOneWhoseDiskIsFullSaysSo) {
  const std::string command =
      program("shoal") + " generate --local --model " + kDemoModel + " --max-tokens 200 Once";
  const Outcome piped =
      run({"/bin/bash", "-c", command + " | head -c 3; echo ${PIPESTATUS[0]} >&2"}, 30'000);
  EXPECT_EQ(piped.err, "141\n");
  const Outcome full = run({"/bin/bash", "-c", command + " >/dev/full"}, 30'000);
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("could not write to standard output"));
}

TEST_F(Machines, ANodeThatStartsBeforeTheSwarmJoinsItLater) {
  const std::string address = free_address();
  // One name that nobody knows must not matter. For one with an empty label no name server is
  // asked.
  Process early(node(
      "early", {"--join", "no-such-host..invalid:7000", "--join", address, "--blocks", "4:8"}));
  Process bootstrap({program("shoal-node"), "bootstrap", "--listen", "127.0.0.1:0", "--join",
                     address, "--identity", folder_.file("b.key"), "--ready-file",
                     folder_.file("b.json")});
  ASSERT_TRUE(eventually(20'000, [&] {
    return early.err().find("no answer from " + address) != std::string::npos;
  })) << early.err();
  EXPECT_THAT(early.err(), HasSubstr("--join-timeout"));
  EXPECT_TRUE(early.running());
  Process first(node("first", {"--new-swarm", "--blocks", "0:4"}, address));
  ready("first", first);
  ready("early", early);
  EXPECT_TRUE(ready("b", bootstrap)["blocks"].is_null());
  const Outcome text = run({program("shoal"), "generate", "--model", kDemoModel, "--join", address,
                            "--greedy", "--max-tokens", "4", "Once"},
                           30'000);
  EXPECT_EQ(text.status, 0) << text.err;
}

TEST_F(Machines, ANodeThatWaitsForItsSwarmStopsWhenAsked) {
  Process lost(node("a", {"--join", "no-such-host..invalid:7000"}));
  ASSERT_TRUE(eventually(20'000, [&] {
    return lost.err().find("no-such-host..invalid") != std::string::npos;
  })) << lost.err();
  lost.signal(SIGTERM);
  EXPECT_EQ(lost.wait(4'000), 0) << lost.err();
}

}  // namespace
}  // namespace shoal::tests
