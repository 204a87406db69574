// SPDX-License-Identifier: Apache-2.0
// The golden prompts and the held-out text through --local and through swarms of 1, 2, 3 and 8
// processes: the golden ids, the golden logits and perplexity, and bitwise the same answer whatever
// the route.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using nlohmann::json;

constexpr double kLogitBound = 1e-3;       // the golden logits are rounded to 1e-4
constexpr double kPerplexityBound = 1e-3;  // 0.1 %

std::vector<std::string> generate_arguments(const json& prompt) {
  return {"--json",
          "--logits",
          "--greedy",
          "--max-tokens",
          std::to_string(prompt.at("greedy_ids").size()),
          prompt.at("prompt").get<std::string>()};
}

std::vector<std::string> local_command(const std::string& subcommand,
                                       std::vector<std::string> arguments) {
  std::vector<std::string> command = {program("shoal"), subcommand, "--local", "--model",
                                      kDemoModel};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

void expect_top5(const json& got, const json& golden) {
  ASSERT_EQ(got.size(), golden.size());
  for (std::size_t i = 0; i < golden.size(); ++i) {
    EXPECT_EQ(got[i][0], golden[i][0]);
    EXPECT_NEAR(got[i][1].get<double>(), golden[i][1].get<double>(), kLogitBound);
  }
}

void expect_golden(const json& answer, const json& prompt) {
  EXPECT_EQ(answer.at("prompt_ids"), prompt.at("prompt_ids"));
  EXPECT_EQ(answer.at("ids"), prompt.at("greedy_ids"));
  EXPECT_EQ(prompt.at("prompt").get<std::string>() + answer.at("text").get<std::string>(),
            prompt.at("text"));
  EXPECT_EQ(answer.at("finish_reason"), "length");
  expect_top5(answer.at("logits").front(), prompt.at("first_top5"));
  expect_top5(answer.at("logits").back(), prompt.at("last_top5"));
}

// What this very command answers in one process: every swarm is held against the same answer.
const json& alone(const std::string& subcommand, const std::vector<std::string>& arguments) {
  static std::map<std::vector<std::string>, json> answers;
  const auto command = local_command(subcommand, arguments);
  const auto [at, is_new] = answers.try_emplace(command);
  if (is_new) {
    const Outcome outcome = run(command, 120'000);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    at->second = json::parse(outcome.out, nullptr, false);
  }
  return at->second;
}

class Golden : public ::testing::TestWithParam<int> {};

TEST_P(Golden, SwarmOfNodesEqualsLocalBitForBit) {
  const int nodes = GetParam();
  ProcessSwarm swarm;
  for (int i = 0; i < nodes; ++i) {
    swarm.start_node(std::to_string(8 * i / nodes) + ":" + std::to_string(8 * (i + 1) / nodes));
  }
  const json prompts = golden().at("prompts");
  ASSERT_GE(prompts.size(), 5u);
  for (const json& prompt : prompts) {
    const json& expected = alone("generate", generate_arguments(prompt));
    ASSERT_TRUE(expected.is_object());
    expect_golden(expected, prompt);

    const Outcome outcome = swarm.shoal("generate", generate_arguments(prompt));
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    const json answer = json::parse(outcome.out);
    EXPECT_EQ(answer.at("ids"), expected.at("ids"));
    EXPECT_EQ(answer.at("logits"), expected.at("logits"))
        << "not bitwise equal over " << nodes << " nodes";
    EXPECT_EQ(answer.at("route").size(), static_cast<std::size_t>(nodes));
    EXPECT_EQ(answer.at("timings").at("per_token_ms").size(), prompt.at("greedy_ids").size() - 1);
  }
  const std::string text = kDemoModel + "/heldout.txt";
  const json& local = alone("score", {"--json", text});
  ASSERT_TRUE(local.is_object());
  const Outcome outcome = swarm.shoal("score", {"--json", text});
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const json answer = json::parse(outcome.out);
  const json expected = golden().at("heldout");
  EXPECT_EQ(answer.at("mean_nll"), local.at("mean_nll"))
      << "not bitwise equal over " << nodes << " nodes";
  EXPECT_EQ(answer.at("targets"), expected.at("targets"));
  const double perplexity = expected.at("perplexity");
  EXPECT_NEAR(answer.at("perplexity").get<double>(), perplexity, kPerplexityBound * perplexity);
  for (std::size_t i = 0; i < expected.at("window_mean_nll").size(); ++i) {
    EXPECT_NEAR(answer.at("window_mean_nll").at(i).get<double>(),
                expected.at("window_mean_nll")[i].get<double>(), 1e-3);
  }
  EXPECT_TRUE(swarm.stop());
}

INSTANTIATE_TEST_SUITE_P(Nodes, Golden, ::testing::Values(1, 2, 3, 8));

}  // namespace
}  // namespace shoal::tests
