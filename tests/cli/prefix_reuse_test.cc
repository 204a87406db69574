// SPDX-License-Identifier: Apache-2.0
// Whose texts begin behind what nodes have kept of whose, by the options of `shoal generate`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string long_prompt() { return read_file(kDemoModel + "/heldout.txt").substr(0, 1'500); }

json generate(const ProcessSwarm& swarm, std::vector<std::string> options,
              const std::string& prompt, std::string* err = nullptr) {
  for (const char* option : {"--json", "--greedy", "--ignore-eos", "--max-tokens", "50"}) {
    options.emplace_back(option);
  }
  options.push_back(prompt);
  const Outcome outcome = swarm.shoal("generate", options);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  if (err != nullptr) *err = outcome.err;
  return json::parse(outcome.out, nullptr, false);
}

TEST(PrefixReuse, IsOfOneIdentityOrOfAllWhoGiveOneName) {
  ProcessSwarm swarm;
  swarm.start_node("0:5");
  swarm.start_node("5:8");
  const std::string prompt = long_prompt();
  const std::vector<std::string> mine{"--identity", swarm.folder().file("mine")};
  const std::vector<std::string> other{"--identity", swarm.folder().file("other")};
  const json first = generate(swarm, mine, prompt);
  ASSERT_TRUE(first.is_object());
  EXPECT_EQ(first.at("reused_positions"), 0);
  const auto whole = static_cast<std::int64_t>(first.at("prompt_ids").size() - 1) / 32 * 32;
  ASSERT_GT(whole, 200);

  std::vector<std::string> traced = mine;
  traced.emplace_back("--trace");
  std::string trace;
  const json second = generate(swarm, traced, prompt, &trace);
  EXPECT_EQ(second.at("reused_positions"), whole);
  EXPECT_EQ(second.at("ids"), first.at("ids"));
  EXPECT_EQ(second.at("exact"), true);
  EXPECT_THAT(trace, HasSubstr(std::to_string(whole) + " positions reused, exact\n"));

  // The next turn: what was written is found too.
  const std::string turn = prompt + first.at("text").get<std::string>() + " And then";
  const json third = generate(swarm, mine, turn);
  EXPECT_GT(third.at("reused_positions"), whole);
  EXPECT_EQ(generate(swarm, {}, turn).at("ids"), third.at("ids"));

  std::vector<std::string> none = mine;
  none.emplace_back("--no-prefix-reuse");
  for (const auto& options : {other, none, std::vector<std::string>{}}) {
    const json strange = generate(swarm, options, prompt);
    EXPECT_EQ(strange.at("reused_positions"), 0);
    EXPECT_EQ(strange.at("ids"), first.at("ids"));
  }
  EXPECT_EQ(generate(swarm, {"--share-prefix", "class 4b"}, prompt).at("reused_positions"), 0);
  EXPECT_EQ(generate(swarm, {"--share-prefix", "class 4c"}, prompt).at("reused_positions"), 0);
  std::vector<std::string> shared = other;
  shared.insert(shared.end(), {"--share-prefix", "class 4b"});
  EXPECT_EQ(generate(swarm, shared, prompt).at("reused_positions"), whole);
  EXPECT_TRUE(swarm.stop());
}

TEST(PrefixReuse, OptionsThatContradictAreRefused) {
  ProcessSwarm swarm;
  for (const auto& [options, says] :
       {std::pair<std::vector<std::string>, const char*>{
            {"--join", "127.0.0.1:1", "--share-prefix", "a", "--no-prefix-reuse"},
            "--share-prefix and --no-prefix-reuse exclude each other"},
        {{"--local", "--share-prefix", "a"}, "--share-prefix is for a swarm"}}) {
    std::vector<std::string> command{program("shoal"), "generate", "--model", kDemoModel};
    command.insert(command.end(), options.begin(), options.end());
    command.emplace_back("Once");
    const Outcome outcome = run(command, 20'000);
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr(says));
  }
}

}  // namespace
}  // namespace shoal::tests
