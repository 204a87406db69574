// SPDX-License-Identifier: Apache-2.0
// This machine's own network goes away and comes back: what is said is true, and the generation
// goes on. In network namespaces of the test's own.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/check.h"
#include "tests/client/golden.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;

// Two machines and the cable between them.
class Cable {
 public:
  Cable()
      : node_(fmt::format("shoal-node-{}", getpid())),
        user_(fmt::format("shoal-user-{}", getpid())) {
    ip({"netns", "add", node_});
    ip({"netns", "add", user_});
    ip({"-n", node_, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
        user_});
    ip({"-n", node_, "address", "add", "10.77.0.1/24", "dev", "eth0"});
    ip({"-n", user_, "address", "add", "10.77.0.2/24", "dev", "eth0"});
    for (const std::string& name : {node_, user_}) {
      ip({"-n", name, "link", "set", "lo", "up"});
      ip({"-n", name, "link", "set", "eth0", "up"});
    }
  }
  ~Cable() {
    for (const std::string& name : {node_, user_}) run({"ip", "netns", "del", name}, 5'000);
  }
  void set_users_link(bool up) { ip({"-n", user_, "link", "set", "eth0", up ? "up" : "down"}); }
  std::vector<std::string> at_node(std::vector<std::string> command) const {
    return inside(node_, std::move(command));
  }
  std::vector<std::string> at_user(std::vector<std::string> command) const {
    return inside(user_, std::move(command));
  }

 private:
  static std::vector<std::string> inside(const std::string& name,
                                         std::vector<std::string> command) {
    command.insert(command.begin(), {"ip", "netns", "exec", name});
    return command;
  }
  static void ip(std::vector<std::string> command) {
    command.insert(command.begin(), "ip");
    const Outcome outcome = run(command, 5'000);
    CHECK(outcome.status == 0) << outcome.err;
  }
  const std::string node_, user_;
};

class OwnNetwork : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root for a network namespace";
    cable_ = std::make_unique<Cable>();
    node_ = std::make_unique<Process>(cable_->at_node(
        {program("shoal-node"), "run", "--model", client::demo_folder(), "--blocks", "0:8",
         "--new-swarm", "--listen", "10.77.0.1:7000", "--threads", "1", "--identity",
         folder_.file("identity"), "--ready-file", folder_.file("ready")}));
    ASSERT_TRUE(wait_for_file(folder_.file("ready"), *node_, 20'000)) << node_->err();
  }
  std::vector<std::string> generate(const std::string& tokens) const {
    return cable_->at_user({program("shoal"), "generate", "--model", client::demo_folder(),
                            "--join", "10.77.0.1:7000", "--greedy", "--ignore-eos", "--max-tokens",
                            tokens, "Once upon a time"});
  }

  TempDir folder_;
  std::unique_ptr<Cable> cable_;
  std::unique_ptr<Process> node_;
};

TEST_F(OwnNetwork, ThatIsDownAtTheStartIsNamedAndWaitedFor) {
  cable_->set_users_link(false);
  Process user(generate("8"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
  EXPECT_TRUE(user.running());
  EXPECT_THAT(user.err(), HasSubstr("is its network up?"));
  cable_->set_users_link(true);
  EXPECT_EQ(user.wait(20'000), 0) << user.err();
  EXPECT_THAT(user.err(), Not(HasSubstr("no node")));
}

TEST_F(OwnNetwork, ThatGoesAwayInTheMiddleIsNamedAndTheTextGoesOn) {
  const Outcome whole = run(generate("300"), 60'000);
  ASSERT_EQ(whole.status, 0) << whole.err;
  Process user(generate("300"));
  for (int i = 0; i < 4'000 && user.out().empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  user.signal(SIGSTOP);
  cable_->set_users_link(false);
  user.signal(SIGCONT);
  std::this_thread::sleep_for(std::chrono::milliseconds(7'000));
  EXPECT_TRUE(user.running()) << user.err();
  cable_->set_users_link(true);
  EXPECT_EQ(user.wait(30'000), 0) << user.err();
  EXPECT_EQ(user.out(), whole.out);
  EXPECT_THAT(user.err(), HasSubstr("is this machine's network up?"));
  EXPECT_THAT(user.err(), HasSubstr("waits up to "));
  EXPECT_THAT(user.err(), HasSubstr("goes on through "));
  EXPECT_THAT(user.err(), Not(HasSubstr("no node that serves")));
}

}  // namespace
}  // namespace shoal::tests
