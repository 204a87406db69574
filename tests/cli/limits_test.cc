// SPDX-License-Identifier: Apache-2.0
// ulimit, full disks and homes that cannot be written: both programs work, or end with one sentence
// and status 1.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "tests/cli/machines.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Limits : public Machines {
 protected:
  // Done, or one sentence of ours; the loader's own, when not even libraries fit.
  void expect_sentence(const Outcome& outcome, const std::string& what) {
    if (outcome.status == 0) return;
    SCOPED_TRACE(what + ": " + outcome.err);
    if (outcome.err.find("error while loading shared libraries") != std::string::npos) return;
    EXPECT_EQ(outcome.status, 1);
    EXPECT_EQ(outcome.err.rfind("shoal", 0), 0u);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1);
    for (const char* word : {"CHECK", "terminate", "Assert", "ASSERT", "core dumped"})
      EXPECT_THAT(outcome.err, Not(HasSubstr(word)));
  }
  // A node under a limit, until it is online or has ended.
  Outcome node_under(const std::string& limit) {
    const std::string name = "n" + std::to_string(count_++);
    Process process(after(limit, node(name, {"--new-swarm", "--log-level", "error"})));
    Outcome outcome;
    if (wait_for_file(folder_.file(name + ".json"), process, 20'000)) {
      process.signal(SIGTERM);
    }
    outcome.status = process.wait(10'000);
    outcome.err = process.err();
    return outcome;
  }
  Outcome client_under(const std::string& limit) {
    return run(after(limit, {program("shoal"), "generate", "--local", "--model", kDemoModel,
                             "--max-tokens", "4", "Once"}),
               20'000);
  }

  int count_ = 0;
};

TEST_F(Limits, AnyLimitOnMemoryEndsInWorkOrInASentence) {
  for (const int mib : {120, 200, 300, 400, 500, 600, 800, 1200, 3000}) {
    const std::string limit = "ulimit -v " + std::to_string(mib * 1024);
    const Outcome node = node_under(limit);
    expect_sentence(node, "node, " + limit);
    const Outcome client = client_under(limit);
    expect_sentence(client, "client, " + limit);
    if (mib >= 1200) {
      EXPECT_EQ(node.status, 0) << node.err;
      EXPECT_EQ(client.status, 0) << client.err;
    }
  }
}

TEST_F(Limits, AnyLimitOnFilesEndsInWorkOrInASentence) {
  for (const int files : {6, 12, 24, 48, 100, 256}) {
    const std::string limit = "ulimit -n " + std::to_string(files);
    expect_sentence(node_under(limit), "node, " + limit);
    expect_sentence(client_under(limit), "client, " + limit);
  }
  EXPECT_EQ(node_under("ulimit -n 256").status, 0);
  // What may be raised is raised.
  EXPECT_EQ(node_under("ulimit -Sn 20").status, 0);
}

TEST_F(Limits, AnyLimitOnThreadsEndsInWorkOrInASentence) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become somebody who has few threads";
  // root has no limit on threads; nobody has.
  std::filesystem::permissions(folder_.path(), std::filesystem::perms::all);
  for (const int threads : {1, 4, 8, 16, 24, 200}) {
    const std::string limit =
        "ulimit -u " + std::to_string(threads) + "; set -- setpriv --reuid=65534 \"$@\"";
    const Outcome node = node_under(limit);
    if (node.err.find("setpriv") != std::string::npos) GTEST_SKIP() << node.err;
    expect_sentence(node, "node, " + limit);
    expect_sentence(client_under(limit), "client, " + limit);
    if (threads == 200) {
      EXPECT_EQ(node.status, 0) << node.err;
    }
    if (threads == 8) {
      EXPECT_THAT(node.err, HasSubstr("ulimit -u"));
    }
  }
}

TEST_F(Limits, SmallLocksAndStacksDoNotMatter) {
  EXPECT_EQ(node_under("ulimit -l 16").status, 0);
  EXPECT_EQ(client_under("ulimit -l 16; ulimit -s 512").status, 0);
}

TEST_F(Limits, MemoryThatTheUserAllowsIsKeptToOrRefused) {
  // Less than the workspace of one block.
  const Outcome little =
      run(node("a", {"--new-swarm", "--memory", "5MiB", "--log-level", "error"}), 20'000);
  expect_sentence(little, "--memory 5MiB");
  EXPECT_THAT(little.err, HasSubstr("--memory"));
  Process enough(node("b", {"--new-swarm", "--memory", "1GiB"}));
  ready("b", enough);
  EXPECT_THAT(enough.err(), HasSubstr("--memory leaves"));
}

TEST_F(Limits, AHomeThatCannotBeWrittenCostsTheIdentityOnly) {
  Process process(
      after("export XDG_STATE_HOME=/proc/nowhere",
            {program("shoal-node"), "run", "--model", kDemoModel, "--listen", "127.0.0.1:0",
             "--threads", "1", "--new-swarm", "--ready-file", folder_.file("h.json")}));
  ready("h", process);
  EXPECT_THAT(process.err(), HasSubstr("new identity for this run only"));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(10'000), 0) << process.err();
}

}  // namespace
}  // namespace shoal::tests
