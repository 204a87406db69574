// SPDX-License-Identifier: Apache-2.0
// Nodes that stop in the middle of a generation: the text goes on as if nothing had happened.
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "net/identity_tls.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

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
  TestClient::Run run_losing(InProcessSwarm& swarm, TestClient& user, std::size_t token,
                             std::size_t hop) {
    return user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
      if (tokens == token) swarm.stop(swarm.index_of(pipeline.route()[hop].peer));
    });
  }
};

TEST_F(Failover, AnyHopMayStop) {
  for (const std::size_t hop : {0, 1, 2}) {
    InProcessSwarm swarm({{0, 3}, {3, 6}, {6, 8}, {0, 3}, {3, 6}, {6, 8}});
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

// Whatever the routes chosen, what is left covers every block, and only by spans of another shape.
TEST_F(Failover, SpansOfAnotherShapeTakeOver) {
  InProcessSwarm swarm({{0, 4}, {4, 8}});
  TestClient user(swarm.address());
  const auto run = user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
    if (tokens == 5) {  // [0:4) goes; [0:2) and [1:5) take its blocks
      for (const proto::Span span : {proto::Span{0, 2}, {1, 5}, {5, 8}}) swarm.add(span);
      swarm.stop(0);
    } else if (tokens == 15) {  // of [4:8) and [5:8) the one in use goes; the other takes over
      swarm.stop(swarm.index_of(pipeline.route().back().peer));
    }
  });
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 2);
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request())));
}

// The blocks are computed in q4: of those that could take over, the one that goes on so is chosen,
// and what comes is what came. Then only the other is left: the text goes on, and says that it is
// not exact.
TEST_F(Failover, BlocksGoOnInTheirKindWhereTheyCan) {
  using model::WeightChoice;
  InProcessSwarm swarm({{7, 8}});  // it stays: whom the client asks for the others
  const std::size_t first = swarm.add({0, 8}, WeightChoice::kQ4);
  TestClient user(swarm.address());
  std::size_t twin = 0;
  const auto run = user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
    if (tokens == 5) {
      swarm.add({0, 8}, WeightChoice::kStored);
      twin = swarm.add({0, 8}, WeightChoice::kQ4);
      swarm.stop(first);
    } else if (tokens == 20) {
      EXPECT_EQ(pipeline.route().front().peer, swarm.node(twin).peer_id());
      EXPECT_TRUE(pipeline.exact());
      swarm.stop(twin);
    }
  });
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 2);
  EXPECT_FALSE(run.exact);
  EXPECT_EQ(run.result->ids.size(), 48u);
  EXPECT_NE(user.told.find("blocks 0..7 changed from i8/q4 to f32/bf16: the text is not exact from "
                           "here on"),
            std::string::npos)
      << user.told;
  const auto alone = user.generate_locally(request(), WeightChoice::kQ4);
  EXPECT_TRUE(std::equal(alone.ids.begin(), alone.ids.begin() + 20, run.result->ids.begin()));
  for (std::size_t token = 0; token < 20; ++token) {
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(run.result->top_logits[token][i].value, alone.top_logits[token][i].value) << token;
    }
  }
}

TEST_F(Failover, AMixedRouteSaysSoAndStaysExact) {
  InProcessSwarm swarm({{0, 3}});
  swarm.add({3, 8}, model::WeightChoice::kQ8);
  TestClient user(swarm.address());
  const auto run = user.generate(request());
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_TRUE(run.exact);
  EXPECT_NE(user.told.find("the route is mixed: f32/bf16 (blocks 0..2), i8/q8 (blocks 3..7)"),
            std::string::npos)
      << user.told;
}

// However often it has to look: for as long as --wait says.
TEST_F(Failover, WaitsForAReplacementThatIsOnItsWay) {
  InProcessSwarm swarm({{0, 5}, {5, 8}});
  TestClient user(swarm.address());
  std::thread replacement;
  const auto run = user.generate(request(), [&](client::Pipeline&, std::size_t tokens) {
    if (tokens != 7) return;
    swarm.stop(1);
    replacement = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(6'000));
      swarm.add({5, 8});
    });
  });
  if (replacement.joinable()) replacement.join();
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 1);
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request())));
}

// A node in a process of its own, that can be killed or frozen.
class NodeProcess {
 public:
  NodeProcess(const std::string& join, const std::string& blocks)
      : process_({program("shoal-node"), "run", "--model", client::demo_folder(), "--blocks",
                  blocks, "--join", join, "--listen", "127.0.0.1:0", "--threads", "1", "--identity",
                  folder_.file("identity"), "--ready-file", folder_.file("ready")}) {
    CHECK(wait_for_file(folder_.file("ready"), process_, 15'000)) << process_.err();
    const auto ready = nlohmann::json::parse(read_file(folder_.file("ready")));
    peer_id_ = ready["peer_id"].get<std::string>();
  }
  Process& process() { return process_; }
  bool is(const proto::PeerId& peer) const { return proto::to_string(peer) == peer_id_; }

 private:
  TempDir folder_;
  Process process_;
  std::string peer_id_;
};

class BrutalFailover : public Failover, public ::testing::WithParamInterface<int> {};

TEST_P(BrutalFailover, ANodeThatIsKilledOrFrozenIsReplaced) {
  InProcessSwarm swarm({{0, 4}});
  auto victim = std::make_unique<NodeProcess>(swarm.address(), "4:8");
  TestClient user(swarm.address());
  std::chrono::steady_clock::time_point hit;
  double pause_s = 0;
  const auto run = user.generate(request(), [&](client::Pipeline& pipeline, std::size_t tokens) {
    if (tokens == 9) {
      EXPECT_TRUE(victim->is(pipeline.route()[1].peer));
      swarm.add({4, 8});
      victim->process().signal(GetParam());
      hit = std::chrono::steady_clock::now();
    } else if (tokens == 10) {
      pause_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - hit).count();
    }
  });
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_EQ(run.reroutes, 1) << user.told;
  EXPECT_TRUE(client::same_logits(*run.result, user.generate_locally(request())));
  RecordProperty("pause_ms", static_cast<int>(pause_s * 1e3));
  EXPECT_LT(pause_s, 6) << user.told;
  EXPECT_TRUE(swarm.idle_within(5'000)) << swarm.describe();
}

INSTANTIATE_TEST_SUITE_P(Signals, BrutalFailover, ::testing::Values(SIGKILL, SIGSTOP));

TEST_F(Failover, WaitsForABlockThatNobodyServesAtTheStart) {
  InProcessSwarm swarm({{0, 5}});
  TestClient user(swarm.address());
  std::thread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(3'000));
    swarm.add({5, 8});
  });
  client::GenerateRequest short_one = request();
  short_one.max_tokens = 4;
  const auto run = user.generate(short_one);
  late.join();
  ASSERT_TRUE(run.result.ok()) << run.result.status();
  EXPECT_NE(user.told.find("no node serves blocks 5..7"), std::string::npos) << user.told;
  EXPECT_NE(user.told.find("goes on through "), std::string::npos) << user.told;
}

TEST_F(Failover, GivesUpWithAReasonWhenNobodyTakesOverInTime) {
  InProcessSwarm swarm({{0, 5}, {5, 8}});
  TestClient user(swarm.address());
  user.wait = std::chrono::milliseconds(3'000);
  const auto started = std::chrono::steady_clock::now();
  const auto run = run_losing(swarm, user, 7, 1);
  EXPECT_FALSE(run.result.ok());
  const std::string message(run.result.status().message());
  EXPECT_NE(message.find("no node serves blocks 5..7"), std::string::npos) << message;
  EXPECT_GT(std::chrono::steady_clock::now() - started, std::chrono::seconds(3));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(15));
  EXPECT_NE(user.told.find("lost blocks 5..7: node "), std::string::npos) << user.told;
  EXPECT_NE(user.told.find("waits up to 3 s (--wait): "), std::string::npos) << user.told;
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

}  // namespace
}  // namespace shoal::tests
