// SPDX-License-Identifier: Apache-2.0
// One identity on two machines: both are told, and the second takes another or does not start.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/machines.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Twins : public Machines {
 protected:
  // As on a machine of its own: a state folder with a copy of this key.
  std::vector<std::string> on_machine(const std::string& name, std::vector<std::string> arguments) {
    std::vector<std::string> command = {program("shoal-node"),
                                        "run",
                                        "--model",
                                        model_,
                                        "--listen",
                                        "127.0.0.1:0",
                                        "--threads",
                                        "1",
                                        "--ready-file",
                                        folder_.file(name + ".json")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return after("export XDG_STATE_HOME=" + folder_.file(name), command);
  }
  void clone(const std::string& key, const std::string& name) {
    const std::string state = folder_.file(name) + "/shoal";
    std::filesystem::create_directories(state);
    std::filesystem::copy_file(key, state + "/node.key");
  }
};

TEST_F(Twins, AClonedMachineTakesANewIdentityAndBothSaySo) {
  Process hub(node("hub", {"--new-swarm", "--blocks", "0:8"}));
  const std::string hub_at = ready("hub", hub)["address"];
  Process first(node("a", {"--join", hub_at, "--blocks", "0:4"}));
  const std::string peer = ready("a", first)["peer_id"];
  clone(folder_.file("a.key"), "clone");
  Process second(on_machine("clone", {"--join", hub_at, "--blocks", "4:8"}));
  EXPECT_NE(ready("clone", second)["peer_id"], peer);
  EXPECT_THAT(second.err(), HasSubstr("identity"));
  EXPECT_TRUE(std::filesystem::exists(folder_.file("clone") + "/shoal/node-2.key"));
  EXPECT_TRUE(eventually(5'000, [&] {
    return first.err().find("another node was started with this node's identity") !=
           std::string::npos;
  })) << first.err();
  // Its end hides nobody.
  second.signal(SIGTERM);
  EXPECT_EQ(second.wait(10'000), 0) << second.err();
  const Outcome status = run({program("shoal"), "status", "--join", hub_at, "--json"}, 20'000);
  EXPECT_THAT(status.out, HasSubstr(peer));
}

TEST_F(Twins, ANamedIdentityIsRefusedAlsoWhenTheTwinIsAllThereIs) {
  Process first(node("a", {"--new-swarm"}));
  const std::string address = ready("a", first)["address"];
  std::filesystem::copy_file(folder_.file("a.key"), folder_.file("b.key"));
  const Outcome second = run(node("b", {"--join", address, "--log-level", "error"}), 25'000);
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.err, HasSubstr("--identity"));
  EXPECT_THAT(second.err, HasSubstr(address));
  EXPECT_TRUE(first.running());
}

TEST_F(Twins, ARestartIsNoTwin) {
  Process hub(node("hub", {"--new-swarm", "--blocks", "0:8"}));
  const std::string hub_at = ready("hub", hub)["address"];
  std::string at = "127.0.0.1:0";
  for (int i = 0; i < 3; ++i) {  // on the same port, with the record of the run before still there
    Process process(node("a", {"--join", hub_at, "--blocks", "0:4"}, at));
    at = ready("a", process)["address"];
    EXPECT_THAT(process.err(), Not(HasSubstr("another node")));
    process.signal(SIGKILL);
    process.wait(5'000);
    std::filesystem::remove(folder_.file("a.json"));
  }
}

}  // namespace
}  // namespace shoal::tests
