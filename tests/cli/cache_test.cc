// SPDX-License-Identifier: Apache-2.0
// Packed weights through the programs: packed once, found again by both, the same answer bit for
// bit however they came; and what `shoal-node plan` prints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

class Cache : public testing::Test {
 protected:
  Cache() { copy_model(kDemoModel, model_); }

  Outcome local(std::vector<std::string> more) const {
    std::vector<std::string> command = {program("shoal"), "generate", "--model",         model_,
                                        "--local",        "--json",   "--logits",        "--greedy",
                                        "--max-tokens",   "12",       "Once upon a time"};
    command.insert(command.end() - 1, more.begin(), more.end());
    return run(command, 60'000);
  }
  std::string answer(std::vector<std::string> more) const {
    const Outcome outcome = local(std::move(more));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    const json object = json::parse(outcome.out, nullptr, false);
    return object.is_object() ? object.at("ids").dump() + object.at("logits").dump() : outcome.out;
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(cache_), fs::directory_iterator()));
  }

  const TempDir folder_;
  const std::string model_ = folder_.file("model"), cache_ = folder_.file("cache");
};

TEST_F(Cache, LocalRunsAndNodesShareIt) {
  const std::string without = answer({"--weights", "q4", "--cache", "off"});
  EXPECT_FALSE(fs::exists(cache_));
  EXPECT_EQ(answer({"--weights", "q4", "--cache", cache_}), without);
  ASSERT_EQ(files(), 8u);
  EXPECT_EQ(answer({"--weights", "q4", "--cache", cache_}), without);
  EXPECT_NE(answer({"--weights", "q8", "--cache", cache_}), without);
  EXPECT_EQ(files(), 16u);

  ProcessSwarm swarm({.model = model_, .node_arguments = {"--weights", "q4", "--cache", cache_}});
  swarm.start_node("0:3");
  swarm.start_node("3:8");
  EXPECT_EQ(files(), 16u);
  const Outcome asked = swarm.shoal(
      "generate", {"--json", "--logits", "--greedy", "--max-tokens", "12", "Once upon a time"});
  ASSERT_EQ(asked.status, 0) << asked.err;
  const json object = json::parse(asked.out);
  EXPECT_EQ(object.at("ids").dump() + object.at("logits").dump(), without);
  EXPECT_TRUE(swarm.stop());
}

TEST_F(Cache, WhatIsDamagedOrCannotBeKeptIsOneLine) {
  const std::string without = answer({"--weights", "q4s", "--cache", cache_});
  const std::string path = fs::directory_iterator(cache_)->path();
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] ^= 1;
  write_file(path, bytes);
  const Outcome again = local({"--weights", "q4s", "--cache", cache_});
  EXPECT_EQ(again.status, 0);
  EXPECT_EQ(std::count(again.err.begin(), again.err.end(), '\n'), 1) << again.err;
  EXPECT_THAT(again.err, HasSubstr("it is made anew"));
  EXPECT_EQ(answer({"--weights", "q4s", "--cache", cache_}), without);

  const Outcome nowhere = local({"--weights", "q4s", "--cache", model_ + "/config.json"});
  EXPECT_EQ(nowhere.status, 0);
  EXPECT_EQ(std::count(nowhere.err.begin(), nowhere.err.end(), '\n'), 1) << nowhere.err;
}

TEST_F(Cache, AutoSaysWhatItTakes) {
  const Outcome chosen = local({"--weights", "auto", "--cache", cache_});
  EXPECT_EQ(chosen.status, 0);
  EXPECT_THAT(chosen.err, HasSubstr("weights: stored is the widest format in which 8 blocks fit"));
  EXPECT_FALSE(fs::exists(cache_)) << "as they are stored";
}

TEST_F(Cache, APlanReadsNoWeights) {
  const Outcome plan = run({program("shoal-node"), "plan", "--model", model_}, 60'000);
  EXPECT_EQ(plan.status, 0) << plan.err;
  EXPECT_EQ(plan.err, "");
  for (const char* part : {"model, stored as bf16", "KV positions", "8 of 8", "\nq4s ",
                           "--weights auto: stored is the widest"}) {
    EXPECT_THAT(plan.out, HasSubstr(part));
  }
  EXPECT_FALSE(fs::exists(model_ + "/shoal-manifest.json"));
  const Outcome as_json =
      run({program("shoal-node"), "plan", "--model", model_, "--json", "--blocks", "2:5"}, 60'000);
  EXPECT_EQ(json::parse(as_json.out).at("formats").at(0).at("blocks"), 3) << as_json.err;
  const Outcome wrong =
      run({program("shoal-node"), "plan", "--model", model_, "--blocks", "2:9"}, 60'000);
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("0:8"));
}

}  // namespace
}  // namespace shoal::tests
