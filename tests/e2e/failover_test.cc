// SPDX-License-Identifier: Apache-2.0
// Nodes that stop in the middle of a generation: the text goes on as if nothing had happened.
#include <gtest/gtest.h>

#include <thread>

#include "net/identity_tls.h"
#include "tests/e2e/local_swarm.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

class Failover : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  client::GenerateRequest request() {
    client::GenerateRequest result = client::golden_request(client::read_golden()["prompts"][0]);
    result.max_tokens = 48;
    return result;
  }
  // Generates; after `token` tokens the hop number `hop` of the route stops.
  TestClient::Run run_losing(LocalSwarm& swarm, TestClient& user, std::size_t token,
                             std::size_t hop) {
    return user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
      if (tokens == token) swarm.stop(swarm.index_of(pipeline.route()[hop].peer));
    });
  }
};

TEST_F(Failover, AnyHopMayStop) {
  for (const std::size_t hop : {0, 1, 2}) {
    LocalSwarm swarm({{0, 3}, {3, 6}, {6, 8}, {0, 3}, {3, 6}, {6, 8}});
    TestClient user(swarm.address());
    const auto run = run_losing(swarm, user, 10, hop);
    ASSERT_TRUE(run.result.ok()) << "hop " << hop << ": " << run.result.status();
    EXPECT_EQ(run.reroutes, 1) << "hop " << hop;
    const auto expected = user.generate_locally(request());
    EXPECT_EQ(run.result->ids, expected.ids);
    EXPECT_TRUE(client::same_logits(*run.result, expected)) << "hop " << hop;
    EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
  }
}

TEST_F(Failover, SpansOfAnotherShapeTakeOver) {
  LocalSwarm swarm({{0, 4}, {4, 8}, {0, 2}, {1, 5}, {5, 8}});
  TestClient user(swarm.address());
  int lost = 0;
  const auto run = user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
    // The node that has block 0 stops, whoever it is; once another has only that, it stays.
    if (tokens == 5 || tokens == 15) {
      const client::Hop first = pipeline.route()[0];
      if (tokens == 5 || first.span.end > 2) {
        swarm.stop(swarm.index_of(first.peer));
        ++lost;
      }
    }
  });
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_GE(run.reroutes, 1);
  EXPECT_EQ(run.reroutes, lost);
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request())));
}

TEST_F(Failover, WaitsForAReplacementThatIsOnItsWay) {
  LocalSwarm swarm({{0, 5}, {5, 8}});
  TestClient user(swarm.address());
  std::thread replacement;
  const auto run = user.generate(request(), [&](client::Pipeline&, std::size_t tokens) {
    if (tokens != 7) return;
    swarm.stop(1);
    replacement = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(500));
      swarm.add({5, 8});
    });
  });
  if (replacement.joinable()) replacement.join();
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 1);
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request())));
}

TEST_F(Failover, GivesUpWithAReasonWhenNobodyCanTakeOver) {
  LocalSwarm swarm({{0, 5}, {5, 8}});
  TestClient user(swarm.address());
  const auto started = std::chrono::steady_clock::now();
  const auto run = run_losing(swarm, user, 7, 1);
  EXPECT_FALSE(run.result.ok());
  const std::string message(run.result.status().message());
  EXPECT_NE(message.find("no node serves blocks 5..7"), std::string::npos) << message;
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(15));
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

}  // namespace
}  // namespace shoal::tests
