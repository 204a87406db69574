// SPDX-License-Identifier: Apache-2.0
// Processes that come and go: clients interrupted and killed at random leave every KV page free,
// SIGTERM ends a node cleanly, concurrent clients each get their exact golden text.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using nlohmann::json;

// Per node of `shoal status --json`: positions of KV that no session holds, and sessions.
struct Load {
  std::vector<std::uint64_t> free_kv;
  std::uint64_t sessions = 0;
};
Load load(const ProcessSwarm& swarm) {
  const Outcome outcome = swarm.shoal("status", {"--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  Load result;
  const json status = json::parse(outcome.out);
  for (const json& node : status.at("models").at(0).at("nodes")) {
    result.free_kv.push_back(node.at("free_kv_positions"));
    result.sessions += node.at("sessions").get<std::uint64_t>();
  }
  return result;
}

void expect_all_free(const ProcessSwarm& swarm, const Load& before) {
  Load now;
  for (int tries = 0; tries < 50; ++tries) {
    now = load(swarm);
    if (now.sessions == 0 && now.free_kv == before.free_kv) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  EXPECT_EQ(now.sessions, 0u);
  EXPECT_EQ(now.free_kv, before.free_kv) << "KV pages were left behind";
}

void start_three(ProcessSwarm& swarm) {
  swarm.start_node("0:3");
  swarm.start_node("3:6");
  swarm.start_node("6:8");
}

TEST(Life, ThirtyTwoClientsAtOnceEachGetTheirGoldenText) {
  ProcessSwarm swarm;
  start_three(swarm);
  const Load before = load(swarm);
  ASSERT_EQ(before.free_kv.size(), 3u);
  const json prompts = golden().at("prompts");
  std::vector<std::unique_ptr<Process>> clients;
  for (int i = 0; i < 32; ++i) {
    const json& prompt = prompts[i % prompts.size()];
    clients.push_back(std::make_unique<Process>(swarm.shoal_command(
        "generate", {"--json", "--greedy", "--threads", "1", "--max-tokens",
                     std::to_string(prompt.at("greedy_ids").size()), prompt.at("prompt")})));
  }
  for (int i = 0; i < 32; ++i) {
    ASSERT_EQ(clients[i]->wait(120'000), 0) << clients[i]->err();
    EXPECT_EQ(json::parse(clients[i]->out()).at("ids"),
              prompts[i % prompts.size()].at("greedy_ids"));
  }
  expect_all_free(swarm, before);
  EXPECT_TRUE(swarm.stop());
}

TEST(Life, InterruptedAndKilledClientsLeaveNothingBehind) {
  ProcessSwarm swarm;
  start_three(swarm);
  const Load before = load(swarm);
  ASSERT_EQ(before.free_kv.size(), 3u);
  std::uint64_t state = 7;
  for (int round = 0; round < 12; ++round) {
    Process client(swarm.shoal_command(
        "generate", {"--max-tokens", "900", "--temperature", "1", "Once upon a time"}));
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + (state >> 33) % 600));
    const int number = round % 3 == 0 ? SIGKILL : round % 3 == 1 ? SIGINT : SIGTERM;
    client.signal(number);
    const int status = client.wait(5'000);
    EXPECT_TRUE(status == 128 + number || status == 0)
        << "status " << status << ", " << client.err();
  }
  expect_all_free(swarm, before);
  EXPECT_TRUE(swarm.stop());
}

TEST(Life, TerminatedNodeWithdrawsAndLeavesNothing) {
  ProcessSwarm swarm;
  swarm.start_node("0:8");
  swarm.start_node("0:8");
  swarm.node(1).signal(SIGTERM);
  EXPECT_EQ(swarm.node(1).wait(15'000), 0) << swarm.node(1).err();
  EXPECT_FALSE(std::filesystem::exists(swarm.ready_file(1)));
  const Outcome outcome = swarm.shoal("status", {"--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json nodes = json::parse(outcome.out).at("models").at(0).at("nodes");
  ASSERT_EQ(nodes.size(), 1u) << "the record was not withdrawn: " << outcome.out;
  EXPECT_EQ(nodes[0].at("peer_id"), swarm.peer_id(0));
}

TEST(Life, StatusShowsTheBlockWithoutServer) {
  ProcessSwarm swarm;
  swarm.start_node("0:5");
  swarm.start_node("6:8");
  const Outcome outcome = swarm.shoal("status", {"--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json model = json::parse(outcome.out).at("models").at(0);
  EXPECT_EQ(model.at("missing"), json::parse("[[5,6]]"));
  // By the manifest, which the nodes that there are give.
  ASSERT_EQ(model.at("gaps").size(), 1u);
  EXPECT_GT(model.at("gaps").at(0).at("weight_bytes"), 100'000);
  EXPECT_NE(
      swarm.shoal("status", {}).out.find("block 5 of 8 is served by nobody: one more node with"),
      std::string::npos);
}

TEST(Life, StatusTellsTheDeadFromTheLiving) {
  ProcessSwarm swarm;
  swarm.start_node("0:4");
  swarm.start_node("3:6");
  swarm.start_node("6:8");
  EXPECT_EQ(swarm.shoal("status", {"--check"}).status, 0);
  swarm.node(1).signal(SIGKILL);
  swarm.node(1).wait(5'000);
  swarm.node(2).signal(SIGSTOP);
  // Both records live on for minutes.
  const Outcome told = swarm.shoal("status", {});
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_EQ(told.out.find("every block is served"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("nobody who answers serves blocks 4..7"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("node " + swarm.peer_id(1).substr(0, 8) + " at " + swarm.address(1) +
                          " does not answer"),
            std::string::npos)
      << told.out;
  EXPECT_LT(told.seconds, 8);
  const Outcome checked = swarm.shoal("status", {"--check", "--json"});
  EXPECT_EQ(checked.status, 1);
  EXPECT_NE(checked.err.find("blocks 4..7"), std::string::npos) << checked.err;
  const json model = json::parse(checked.out).at("models").at(0);
  EXPECT_EQ(model.at("missing"), json::parse("[[4,8]]"));
  EXPECT_EQ(model.at("served"), false);
  ASSERT_EQ(model.at("nodes").size(), 3u);
  for (const json& node : model.at("nodes")) {
    const bool lives = node.at("peer_id") == swarm.peer_id(0);
    EXPECT_EQ(node.at("answers"), lives);
    EXPECT_EQ(node.contains("silence"), !lives);
    EXPECT_LT(node.at("record_age_s"), 180);
  }
  swarm.node(2).signal(SIGCONT);
}

// A network of the test's own, with nothing in it but a loopback interface.
class EmptyNetwork {
 public:
  EmptyNetwork() : name_("shoal-status-" + std::to_string(getpid())) {
    made_ =
        run({"/bin/sh", "-c", "ip netns add " + name_ + " && ip -n " + name_ + " link set lo up"},
            10'000)
            .status == 0;
  }
  ~EmptyNetwork() { run({"/bin/sh", "-c", "ip netns del " + name_}, 10'000); }
  bool made() const { return made_; }
  std::vector<std::string> inside(const std::string& command) const {
    return {"/bin/sh", "-c", "exec ip netns exec " + name_ + " " + command};
  }

 private:
  std::string name_;
  bool made_ = false;
};

TEST(Life, StatusNamesNodesThatThisMachineHasNoWayTo) {
  if (geteuid() != 0) GTEST_SKIP() << "making a network needs root";
  EmptyNetwork network;
  if (!network.made()) GTEST_SKIP() << "no network can be made, although we are root";
  TempDir folder;
  const auto start = [&](const std::string& name, const std::string& more) {
    auto node = std::make_unique<Process>(network.inside(
        program("shoal-node") + " run --model " + kDemoModel + " --threads 1 --log-level warn" +
        " --identity " + folder.file(name + ".key") + " --ready-file " + folder.file(name) + " " +
        more));
    EXPECT_TRUE(wait_for_file(folder.file(name), *node, 15'000)) << node->err();
    return node;
  };
  const auto first = start("a", "--new-swarm --listen 127.0.0.1:7700 --blocks 0:4");
  // It is there, but all it announces is an address of a kind that this network has no way to.
  const auto second = start("b",
                            "--join 127.0.0.1:7700 --listen 127.0.0.1:7701 --blocks 4:8 "
                            "--announce '[fd00::7]:7701'");
  const Outcome told =
      run(network.inside(program("shoal") + " status --join 127.0.0.1:7700 --check"), 20'000);
  EXPECT_EQ(told.status, 1);
  EXPECT_NE(told.out.find("at [fd00::7]:7701 has only IPv6 addresses, and this machine has no way"),
            std::string::npos)
      << told.out;
  EXPECT_NE(told.err.find("blocks 4..7"), std::string::npos) << told.err;
}

TEST(Life, StatusOfAModelThatNobodyServes) {
  ProcessSwarm swarm;
  swarm.start_node("0:8");
  TempDir folder;
  copy_model(kDemoModel, folder.file("other"));
  const std::string weights = folder.file("other/model.safetensors");
  std::string changed = read_file(weights);
  changed[changed.size() - 10] ^= 1;
  std::filesystem::remove(weights);
  write_file(weights, changed);
  for (const bool check : {false, true}) {
    std::vector<std::string> command =
        swarm.shoal_command("status", {"--json"}, folder.file("other"));
    if (check) command.push_back("--check");
    const Outcome outcome = run(command, 20'000);
    EXPECT_EQ(outcome.status, check ? 1 : 0) << outcome.err;
    const json models = json::parse(outcome.out).at("models");
    ASSERT_EQ(models.size(), 2u);
    EXPECT_EQ(models[0].at("missing"), json::parse("[[0,8]]"));
    EXPECT_EQ(models[1].at("served"), true);
  }
}

TEST(Life, StatusShowsThatTheDirectoryIsHealthy) {
  ProcessSwarm swarm;
  for (int i = 0; i < 3; ++i) swarm.start_node("0:8");
  const Outcome outcome = swarm.shoal("status", {"--json"});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json health = json::parse(outcome.out).at("dht");
  EXPECT_EQ(health.at("contacts"), 3) << health;
  EXPECT_EQ(health.at("verified_share"), 1) << health;
  EXPECT_NEAR(health.at("estimated_peers").get<double>(), 3, 1) << health;
  EXPECT_GE(health.at("lookups"), 5) << health;
  EXPECT_EQ(health.at("lookup_success"), 1) << health;
  EXPECT_GT(health.at("lookup_ms").at("p50"), 0) << health;
  EXPECT_LE(health.at("lookup_ms").at("p50"), health.at("lookup_ms").at("p99")) << health;
  EXPECT_GT(health.at("requests_answered"), 0) << health;
  EXPECT_EQ(health.at("requests_failed"), 0) << health;
  EXPECT_NE(swarm.shoal("status", {}).out.find("3 contacts, 100 % verified"), std::string::npos);
}

}  // namespace
}  // namespace shoal::tests
