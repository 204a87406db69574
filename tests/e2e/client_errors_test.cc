// SPDX-License-Identifier: Apache-2.0
// What a user sees when something is wrong with a swarm: one line on stderr that says what to do, a
// status that is not zero, within 15 seconds, and nothing left in the swarm. Errors without a
// swarm: tests/client/program_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "identity/swarm_key.h"
#include "net/identity_tls.h"
#include "tests/client/golden.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;

class ClientErrors : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  // The one line.
  std::string error_of(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program("shoal"));
    const Outcome outcome = run(arguments, 20'000);
    EXPECT_GT(outcome.status, 0);
    EXPECT_LT(outcome.seconds, 15);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.err.starts_with("shoal: ")) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }
  std::vector<std::string> generate(const std::string& address,
                                    std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"generate", "--model", model_, "--join",
                                       address,    "--wait",  "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.push_back("Once upon a time");
    return arguments;
  }

  std::string model_ = client::demo_folder();
  TempDir folder_;
};

TEST_F(ClientErrors, NoServerForABlock) {
  InProcessSwarm swarm({{0, 5}, {6, 8}});
  EXPECT_THAT(error_of(generate(swarm.address())), HasSubstr("no node serves block 5 "));
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

TEST_F(ClientErrors, ANodeThatIsGoneButStillKnown) {
  InProcessSwarm swarm({{0, 5}, {5, 8}});
  swarm.stop(1);
  EXPECT_THAT(error_of(generate(swarm.address())), HasSubstr("no node serves blocks 5..7"));
}

TEST_F(ClientErrors, WrongSwarmKey) {
  InProcessSwarmOptions options;
  options.swarm_key = identity::generate_swarm_key();
  InProcessSwarm swarm({{0, 8}}, options);
  const std::string other = folder_.file("other.key");
  ASSERT_TRUE(identity::write_swarm_key(other, identity::generate_swarm_key()).ok());
  EXPECT_THAT(error_of(generate(swarm.address(), {"--swarm-key", other})), HasSubstr("key"));
  EXPECT_THAT(error_of(generate(swarm.address())), HasSubstr("key"));
}

TEST_F(ClientErrors, TheModelDiffers) {
  InProcessSwarm swarm({{0, 8}});
  // The same folder with one weight changed.
  const std::string other = folder_.file("model");
  std::filesystem::copy(model_, other);
  std::filesystem::permissions(other + "/model.safetensors", std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::fstream weights(other + "/model.safetensors",
                       std::ios::in | std::ios::out | std::ios::binary);
  weights.seekp(-2, std::ios::end);
  weights.write("\x01\x3f", 2);
  weights.close();
  model_ = other;
  const std::string served = proto::short_name(swarm.node(0).model_digest());
  const std::string error = error_of(generate(swarm.address()));
  EXPECT_THAT(error, HasSubstr(served));
  EXPECT_THAT(error, HasSubstr("has digest"));
  const Outcome status =
      run({program("shoal"), "status", "--model", other, "--join", swarm.address()}, 15'000);
  EXPECT_THAT(status.out, HasSubstr(served));
  EXPECT_THAT(status.out, HasSubstr("no node of this swarm serves it"));
}

TEST_F(ClientErrors, TooLongForTheNodesMemory) {
  InProcessSwarmOptions options;
  options.kv_positions = 64;
  InProcessSwarm swarm({{0, 8}}, options);
  EXPECT_THAT(error_of(generate(swarm.address(), {"--max-tokens", "500"})),
              HasSubstr("--max-tokens"));
}

TEST_F(ClientErrors, StatusShowsWhatIsMissing) {
  InProcessSwarm swarm({{0, 5}, {6, 8}});
  const Outcome outcome =
      run({program("shoal"), "status", "--model", model_, "--join", swarm.address()}, 15'000);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("nobody serves block 5"));
  EXPECT_THAT(outcome.out, HasSubstr("#####..."));
}

}  // namespace
}  // namespace shoal::tests
