// SPDX-License-Identifier: Apache-2.0
// This machine's own network goes away and comes back: what is said is true, and the generation
// goes on. In a network namespace of the test's own, whose loopback is the network.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "kernels/check.h"
#include "tests/client/golden.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;

class Namespace {
 public:
  Namespace() : name_(fmt::format("shoal-test-{}", getpid())) {
    ip({"netns", "add", name_});
    set_link(true);
  }
  ~Namespace() { run({"ip", "netns", "del", name_}, 5'000); }
  void set_link(bool up) { ip({"-n", name_, "link", "set", "lo", up ? "up" : "down"}); }
  std::vector<std::string> inside(std::vector<std::string> command) const {
    command.insert(command.begin(), {"ip", "netns", "exec", name_});
    return command;
  }

 private:
  static void ip(std::vector<std::string> command) {
    command.insert(command.begin(), "ip");
    const Outcome outcome = run(command, 5'000);
    CHECK(outcome.status == 0) << outcome.err;
  }
  const std::string name_;
};

class OwnNetwork : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root for a network namespace";
    space_ = std::make_unique<Namespace>();
    node_ = std::make_unique<Process>(space_->inside(
        {program("shoal-node"), "run", "--model", client::demo_folder(), "--blocks", "0:8",
         "--new-swarm", "--listen", "127.0.0.1:7000", "--threads", "1", "--identity",
         folder_.file("identity"), "--ready-file", folder_.file("ready")}));
    ASSERT_TRUE(wait_for_file(folder_.file("ready"), *node_, 20'000)) << node_->err();
  }
  std::vector<std::string> generate(const std::string& tokens) const {
    return space_->inside({program("shoal"), "generate", "--model", client::demo_folder(), "--join",
                           "127.0.0.1:7000", "--greedy", "--ignore-eos", "--max-tokens", tokens,
                           "Once upon a time"});
  }

  TempDir folder_;
  std::unique_ptr<Namespace> space_;
  std::unique_ptr<Process> node_;
};

TEST_F(OwnNetwork, ThatIsDownAtTheStartIsNamedAndWaitedFor) {
  space_->set_link(false);
  Process user(generate("8"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
  EXPECT_TRUE(user.running());
  EXPECT_THAT(user.err(), HasSubstr("is its network up?"));
  space_->set_link(true);
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
  space_->set_link(false);
  user.signal(SIGCONT);
  std::this_thread::sleep_for(std::chrono::milliseconds(7'000));
  EXPECT_TRUE(user.running()) << user.err();
  space_->set_link(true);
  EXPECT_EQ(user.wait(30'000), 0) << user.err();
  EXPECT_EQ(user.out(), whole.out);
  EXPECT_THAT(user.err(), HasSubstr("network is down"));
  EXPECT_THAT(user.err(), HasSubstr("waits up to "));
  EXPECT_THAT(user.err(), HasSubstr("goes on through "));
  EXPECT_THAT(user.err(), Not(HasSubstr("no node that serves")));
}

}  // namespace
}  // namespace shoal::tests
