// SPDX-License-Identifier: Apache-2.0
// Hops that live and do not do their work: the generation goes on elsewhere, with the same tokens.
#include <gtest/gtest.h>

#include <chrono>

#include "net/identity_tls.h"
#include "tests/e2e/faulty_node.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"

namespace shoal::tests {
namespace {

using Clock = std::chrono::steady_clock;

class FaultyHop : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  client::GenerateRequest request() {
    client::GenerateRequest result = client::golden_request(client::read_golden()["prompts"][0]);
    result.max_tokens = 32;
    return result;
  }

  // Generates over the faulty last hop; after some tokens it falls ill and an honest node comes.
  // The seconds from there to the end.
  double run(const std::function<void(FaultyNode&)>& fall_ill) {
    InProcessSwarm swarm({{0, 4}});
    FaultyNode faulty(swarm.address(), {4, 8}, 300);
    TestClient user(swarm.address());
    Clock::time_point ill;
    const auto run = user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
      if (tokens != 6) return;
      EXPECT_EQ(pipeline.route().back().peer, faulty.peer());
      swarm.add({4, 8});
      fall_ill(faulty);
      ill = Clock::now();
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - ill).count();
    EXPECT_TRUE(run.result.ok()) << run.result.status();
    if (!run.result.ok()) return seconds;
    EXPECT_EQ(run.reroutes, 1) << user.told;
    EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request())));
    EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
    RecordProperty("seconds", std::to_string(seconds));
    return seconds;
  }
};

TEST_F(FaultyHop, AHopThatTakesASecondForEachStepIsLeft) {
  EXPECT_LT(run([](FaultyNode& node) { node.delay_ms = 1'000; }), 12);  // all of it: 26
}

TEST_F(FaultyHop, AHopThatTakesNineSecondsForEachStepIsLeftInTheMiddleOfOne) {
  EXPECT_LT(run([](FaultyNode& node) { node.delay_ms = 9'000; }), 8.5);
}

TEST_F(FaultyHop, AHopThatTalksAndDoesNothingIsLeft) {
  EXPECT_LT(run([](FaultyNode& node) {
              node.chatters = true;
              node.delay_ms = 60'000;
            }),
            8.5);
}

TEST_F(FaultyHop, ACutBetweenTwoHopsIsGoneAround) {
  EXPECT_LT(run([](FaultyNode& node) { node.swallows = true; }), 8.5);
}

TEST_F(FaultyHop, AClaimIsPutToTheTestBeforeItIsBelieved) {
  InProcessSwarm swarm({{0, 8}});
  FaultyNode faulty(swarm.address(), {0, 8}, 0.01f);
  faulty.delay_ms = 100;
  auto short_one = request();
  short_one.max_tokens = 2;
  for (int i = 0; i < 4; ++i) {
    TestClient user(swarm.address());  // who knows nobody yet
    const auto run = user.generate(short_one);
    ASSERT_TRUE(run.result.ok()) << run.result.status();
    EXPECT_NE(run.route.front().peer, faulty.peer());
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

TEST_F(FaultyHop, OneThatRefusesIsNotAskedAgainAndAgain) {
  InProcessSwarm swarm({{0, 8}});
  FaultyNode faulty(swarm.address(), {0, 8}, 0.01f);
  faulty.refuses = true;
  TestClient user(swarm.address());
  auto short_one = request();
  short_one.max_tokens = 2;
  const auto begun = Clock::now();
  for (int i = 0; i < 6; ++i) {
    const auto run = user.generate(short_one);
    ASSERT_TRUE(run.result.ok()) << run.result.status();
  }
  EXPECT_LE(faulty.asked, 2);
  EXPECT_LT(Clock::now() - begun, std::chrono::seconds(10));
}

// Started anew with other weights between our question and the session: it is asked again, and
// taken for what it is.
TEST_F(FaultyHop, AHopThatIsNotWhatItSaidIsAskedAgain) {
  InProcessSwarm swarm({{0, 4}});
  FaultyNode faulty(swarm.address(), {4, 8}, 300);
  TestClient user(swarm.address());
  faulty.outdated = 2;  // both times that one look asks
  const auto run = user.generate(request());
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(faulty.asked, 2);
  EXPECT_TRUE(run.exact);
  EXPECT_EQ(run.route.back().numerics.weights, proto::WeightFormat::kBf16);
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request())));

  // One that never is does not keep us for ever.
  faulty.outdated = 1'000'000;
  user.wait = std::chrono::milliseconds(500);
  const auto begun = Clock::now();
  const auto lied = user.generate(request());
  ASSERT_FALSE(lied.result.ok());
  EXPECT_NE(std::string(lied.result.status().message()).find("it computes in f32/bf16 by now"),
            std::string::npos)
      << lied.result.status();
  EXPECT_LT(Clock::now() - begun, std::chrono::seconds(30));
  EXPECT_LT(faulty.asked, 60);
}

}  // namespace
}  // namespace shoal::tests
