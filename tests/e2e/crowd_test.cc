// SPDX-License-Identifier: Apache-2.0
// Many clients at once, and clients that vanish: everyone gets exactly the right text, and nothing
// is left behind.
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "base/random.h"
#include "net/identity_tls.h"
#include "tests/e2e/in_process_swarm.h"
#include "tests/e2e/test_client.h"
#include "tests/support/process.h"

namespace shoal::tests {
namespace {

class Crowd : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }
};

TEST_F(Crowd, ThirtyTwoClientsAtOnceAllGetTheirGoldenText) {
  InProcessSwarm swarm(even_spans(8, 3));
  const auto golden = client::read_golden();
  const std::size_t prompts = golden["prompts"].size();
  std::vector<std::thread> users;
  std::vector<std::string> problems(32);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    users.emplace_back([&, i] {
      const auto& prompt = golden["prompts"][i % prompts];
      TestClient user(swarm.address());
      const auto run = user.generate(client::golden_request(prompt));
      if (!run.result.ok()) {
        problems[i] = std::string(run.result.status().message());
      } else if (run.result->ids != prompt["greedy_ids"].get<std::vector<std::int32_t>>()) {
        problems[i] = "other ids: " + run.result->text;
      }
    });
  }
  for (std::thread& user : users) user.join();
  for (const std::string& problem : problems) EXPECT_EQ(problem, "");
  EXPECT_TRUE(swarm.idle_within(5'000)) << swarm.describe();
}

TEST_F(Crowd, WhenThereIsNoRoomClientsWaitForTheirTurn) {
  InProcessSwarmOptions options;
  options.kv_positions = 64;  // one session of the demo prompt at a time
  InProcessSwarm swarm(even_spans(8, 2), options);
  const auto prompt = client::read_golden()["prompts"][0];
  std::vector<std::thread> users;
  std::vector<std::string> problems(4);
  for (std::size_t i = 0; i < problems.size(); ++i) {
    users.emplace_back([&, i] {
      TestClient user(swarm.address());
      const auto run = user.generate(client::golden_request(prompt));
      if (!run.result.ok()) problems[i] = std::string(run.result.status().message());
    });
  }
  for (std::thread& user : users) user.join();
  for (const std::string& problem : problems) EXPECT_EQ(problem, "");
  EXPECT_TRUE(swarm.idle_within(5'000)) << swarm.describe();
}

TEST_F(Crowd, InterruptedClientsLeaveNothingBehind) {
  InProcessSwarm swarm(even_spans(8, 3));
  base::Random random(3);
  const auto prompt = client::read_golden()["prompts"][1];
  for (int round = 0; round < 10; ++round) {
    TestClient user(swarm.address());
    auto request = client::golden_request(prompt);
    request.max_tokens = 500;
    request.ignore_eos = true;
    const std::size_t last = 1 + random.next() % 20;
    const auto run = user.generate(request, [&](client::Pipeline&, std::size_t tokens) {
      if (tokens == last) user.interrupt().stop(SIGINT);
    });
    ASSERT_TRUE(run.result.ok()) << run.result.status();
    EXPECT_EQ(run.result->finish_reason, "interrupted");
    EXPECT_EQ(run.result->ids.size(), last);
  }
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

TEST_F(Crowd, KilledProgramsLeaveNothingBehind) {
  InProcessSwarm swarm(even_spans(8, 3));
  base::Random random(4);
  std::vector<Process> programs;
  for (int i = 0; i < 12; ++i) {
    programs.emplace_back(std::vector<std::string>{
        program("shoal"), "generate", "--model", client::demo_folder(), "--join", swarm.address(),
        "--greedy", "--ignore-eos", "--max-tokens", "900", "Once upon a time"});
    std::this_thread::sleep_for(std::chrono::milliseconds(random.next() % 150));
    if (i >= 4) programs[i - 4].signal(SIGKILL);
  }
  for (Process& program : programs) program.signal(SIGKILL);
  EXPECT_TRUE(swarm.idle_within(5'000)) << swarm.describe();
  // And the swarm still serves.
  const auto prompt = client::read_golden()["prompts"][0];
  TestClient user(swarm.address());
  EXPECT_TRUE(user.generate(client::golden_request(prompt)).result.ok());
}

TEST_F(Crowd, ControlCEndsTheProgramWithItsTextAndStatus) {
  InProcessSwarm swarm(even_spans(8, 2));
  Process generate({program("shoal"), "generate", "--model", client::demo_folder(), "--join",
                    swarm.address(), "--greedy", "--ignore-eos", "--max-tokens", "1000",
                    "Once upon a time"});
  for (int i = 0; i < 400 && generate.out().size() < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  generate.signal(SIGINT);
  EXPECT_EQ(generate.wait(3'000), 130);
  EXPECT_EQ(generate.out().substr(0, 20), " there was a man who");
  EXPECT_EQ(generate.err(), "");
  EXPECT_TRUE(swarm.idle_within(3'000)) << swarm.describe();
}

}  // namespace
}  // namespace shoal::tests
