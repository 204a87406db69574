// SPDX-License-Identifier: Apache-2.0
// Nodes that compute in different numerics: a text goes on when the one in use is killed, and says
// whether it is exact.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kTokens = 400;
const std::vector<std::string> kGenerate = {
    "--json", "--greedy", "--ignore-eos", "--max-tokens", std::to_string(kTokens), "Once upon"};

struct Killed {
  json answer;
  std::string err;
  std::size_t used = 0;  // the node that was in use
};

// Kills the node that a generation goes through, in the middle of it: --trace says which it is.
Killed generate_and_kill(ProcessSwarm& swarm) {
  std::vector<std::string> arguments = kGenerate;
  arguments.insert(arguments.begin(), "--trace");
  Process client(swarm.shoal_command("generate", arguments));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::string trace;
  while (trace.find("\ntoken 20:") == std::string::npos &&
         std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    trace = client.err();
  }
  Killed result;
  const std::string line = trace.substr(trace.find("token 0:"));
  for (std::size_t i = 0; i < swarm.size(); ++i) {
    if (line.find(swarm.peer_id(i).substr(0, 8)) != std::string::npos) result.used = i;
  }
  swarm.node(result.used).signal(SIGKILL);
  EXPECT_EQ(client.wait(60'000), 0) << client.err();
  result.err = client.err();
  result.answer = json::parse(client.out(), nullptr, false);
  return result;
}

json alone(const std::string& weights) {
  std::vector<std::string> command = {program("shoal"), "generate",  "--model", kDemoModel,
                                      "--local",        "--weights", weights};
  command.insert(command.end(), kGenerate.begin(), kGenerate.end());
  const Outcome outcome = run(command, 60'000);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json::parse(outcome.out, nullptr, false);
}

TEST(Kinds, ATextThatGoesOnInAnotherKindIsNotExact) {
  ProcessSwarm swarm;
  swarm.start_node("0:8", {"--weights", "stored"});
  swarm.start_node("0:8", {"--weights", "q4"});
  const Killed killed = generate_and_kill(swarm);
  ASSERT_TRUE(killed.answer.is_object());
  EXPECT_EQ(killed.answer.at("reroutes"), 1);
  EXPECT_EQ(killed.answer.at("ids").size(), static_cast<std::size_t>(kTokens));
  EXPECT_EQ(killed.answer.at("exact"), false);
  const bool from_stored = killed.used == 0;
  EXPECT_EQ(killed.answer.at("compute"), from_stored ? "i8/q4" : "f32/bf16");
  EXPECT_EQ(killed.answer.at("route").at(0).at("compute"), killed.answer.at("compute"));
  EXPECT_EQ(killed.answer.at("head"), from_stored ? "stored" : "q8")
      << "it goes with the route at the start";
  EXPECT_THAT(killed.err, HasSubstr(from_stored ? "blocks 0..7 changed from f32/bf16 to i8/q4"
                                                : "blocks 0..7 changed from i8/q4 to f32/bf16"));
  EXPECT_THAT(killed.err, HasSubstr("not exact\n")) << "the last line of the trace";
}

TEST(Kinds, ATextThatGoesOnInTheSameKindIsTheSame) {
  ProcessSwarm swarm;
  for (int i = 0; i < 2; ++i) swarm.start_node("0:8", {"--weights", "q4"});
  const Killed killed = generate_and_kill(swarm);
  ASSERT_TRUE(killed.answer.is_object());
  EXPECT_EQ(killed.answer.at("reroutes"), 1);
  EXPECT_EQ(killed.answer.at("exact"), true);
  EXPECT_EQ(killed.answer.at("head"), "q8");
  EXPECT_THAT(killed.err, Not(HasSubstr("changed from")));
  const json expected = alone("q4");
  EXPECT_EQ(killed.answer.at("ids"), expected.at("ids"));
  EXPECT_EQ(killed.answer.at("text"), expected.at("text"));
  EXPECT_EQ(expected.at("exact"), true);
  EXPECT_EQ(expected.at("head"), "q8");
  EXPECT_EQ(expected.at("compute"), killed.answer.at("compute"));
}

TEST(Kinds, AMixedRouteIsToldAtTheStart) {
  ProcessSwarm swarm;
  swarm.start_node("0:5", {"--weights", "q8"});
  swarm.start_node("5:8", {"--weights", "q4s"});
  const Outcome outcome = swarm.shoal("generate", {"--greedy", "--max-tokens", "3", "Once upon"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              HasSubstr("shoal: the route is mixed: i8/q8 (blocks 0..4), i8/q4s (blocks 5..7)"));
}

// Keys and values in int8: one more part of what decides the bits, told and kept like the others.
TEST(Kinds, KeysAndValuesInInt8GiveTheSameBitsHereAndThere) {
  for (const std::string weights : {"stored", "q4"}) {
    SCOPED_TRACE(weights);
    ProcessSwarm swarm;
    for (const char* blocks : {"0:3", "3:8"}) {
      swarm.start_node(blocks, {"--weights", weights, "--kv-dtype", "i8"});
    }
    const auto here = [&](const std::string& subcommand, std::vector<std::string> arguments) {
      std::vector<std::string> command = {program("shoal"), subcommand,   "--model",
                                          kDemoModel,       "--local",    "--weights",
                                          weights,          "--kv-dtype", "i8"};
      command.insert(command.end(), arguments.begin(), arguments.end());
      return run(command, 60'000);
    };
    std::vector<std::string> arguments = kGenerate;
    arguments.insert(arguments.begin(), "--logits");
    const Outcome local = here("generate", arguments);
    const Outcome ring = swarm.shoal("generate", arguments);
    ASSERT_EQ(local.status, 0) << local.err;
    ASSERT_EQ(ring.status, 0) << ring.err;
    const json expected = json::parse(local.out), got = json::parse(ring.out);
    EXPECT_EQ(got.at("ids").size(), static_cast<std::size_t>(kTokens));
    EXPECT_EQ(got.at("ids"), expected.at("ids"));
    EXPECT_EQ(got.at("text"), expected.at("text"));
    EXPECT_EQ(got.at("logits"), expected.at("logits"));
    EXPECT_EQ(got.at("exact"), true);
    EXPECT_EQ(got.at("compute"), weights == "q4" ? "i8/q4, KV i8" : "f32/bf16, KV i8");
    EXPECT_EQ(expected.at("compute"), got.at("compute"));
    for (const json& hop : got.at("route")) EXPECT_EQ(hop.at("compute"), got.at("compute"));

    const std::vector<std::string> text = {"--json", kDemoModel + "/heldout.txt"};
    const Outcome local_score = here("score", text), ring_score = swarm.shoal("score", text);
    ASSERT_EQ(local_score.status, 0) << local_score.err;
    ASSERT_EQ(ring_score.status, 0) << ring_score.err;
    EXPECT_EQ(json::parse(ring_score.out).at("window_mean_nll"),
              json::parse(local_score.out).at("window_mean_nll"));
    EXPECT_TRUE(swarm.stop());
  }
}

TEST(Kinds, ATextThatGoesOnWithKeysKeptOtherwiseIsNotExact) {
  ProcessSwarm swarm;
  swarm.start_node("0:8", {"--kv-dtype", "i8"});
  swarm.start_node("0:8", {"--kv-dtype", "f16"});
  const Killed killed = generate_and_kill(swarm);
  ASSERT_TRUE(killed.answer.is_object());
  EXPECT_EQ(killed.answer.at("reroutes"), 1);
  EXPECT_EQ(killed.answer.at("exact"), false);
  EXPECT_THAT(
      killed.err,
      HasSubstr(killed.used == 0 ? "blocks 0..7 changed from f32/bf16, KV i8 to f32/bf16, KV f16"
                                 : "blocks 0..7 changed from f32/bf16, KV f16 to f32/bf16, KV i8"));
}

}  // namespace
}  // namespace shoal::tests
