// SPDX-License-Identifier: Apache-2.0
// A model in parts: nodes whose folders hold the files of their blocks only, and clients whose
// folders hold the files of the ends only. The golden ids, and one digest, wherever the manifest
// came from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>

#include "tests/cli/machines.h"

namespace shoal::tests {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kManifest = "shoal-manifest.json";

class Parts : public Machines {
 protected:
  Parts() { names_ = split_model(kDemoModel, whole_, 3); }  // ends, 0:3, 3:6, 6:8

  std::string parts(const std::string& name, const std::vector<int>& numbers) {
    std::vector<std::string> shards;
    for (const int number : numbers) shards.push_back(names_[static_cast<std::size_t>(number)]);
    take_parts(whole_, folder_.file(name), shards);
    return folder_.file(name);
  }
  void copy_manifest(const std::string& to) {
    std::filesystem::copy_file(whole_ + "/" + kManifest, to + "/" + kManifest);
  }
  std::unique_ptr<Process> start(const std::string& name, const std::string& model,
                                 std::vector<std::string> arguments) {
    model_ = model;
    auto process = std::make_unique<Process>(node(name, std::move(arguments)));
    ready_[name] = ready(name, *process);
    return process;
  }
  Outcome shoal(const std::string& command, const std::string& model, const std::string& address,
                std::vector<std::string> arguments) {
    std::vector<std::string> all = {program("shoal"), command, "--model", model, "--join", address};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all, 60'000);
  }
  // The golden ids with a client of the ends only.
  void expect_golden(const std::string& model, const std::string& address) {
    const json prompt = golden().at("prompts").at(0);
    const Outcome outcome =
        shoal("generate", model, address,
              {"--json", "--greedy", "--max-tokens", std::to_string(prompt.at("greedy_ids").size()),
               prompt.at("prompt").get<std::string>()});
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(json::parse(outcome.out).at("ids"), prompt.at("greedy_ids"));
    const Outcome status = shoal("status", model, address, {"--check"});
    EXPECT_EQ(status.status, 0) << status.err;
  }
  void expect_line(const Outcome& outcome, const std::vector<std::string>& parts) {
    EXPECT_NE(outcome.status, 0) << outcome.out;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
  }

  const std::string whole_ = folder_.file("whole");
  std::vector<std::string> names_;
  std::map<std::string, json> ready_;
};

TEST_F(Parts, ServeWithTheManifestBesideThem) {
  auto whole = start("w", whole_, {"--new-swarm"});
  const std::string digest = ready_["w"]["model_digest"];
  whole->signal(SIGTERM);
  EXPECT_EQ(whole->wait(15'000), 0);
  const std::string first = parts("first", {1}), rest = parts("rest", {2, 3}),
                    ends = parts("ends", {0});
  for (const std::string& folder : {first, rest, ends}) copy_manifest(folder);

  auto a = start("a", first, {"--new-swarm"});  // all that it has
  const std::string address = ready_["a"]["address"];
  auto b = start("b", rest, {"--join", address, "--blocks", "3:8"});
  EXPECT_EQ(ready_["a"]["model_digest"], digest);
  EXPECT_EQ(ready_["b"]["model_digest"], digest);
  EXPECT_EQ(ready_["a"]["blocks"], "0:3");
  expect_golden(ends, address);
  const Outcome score = shoal("score", ends, address, {"--json", kDemoModel + "/golden.json"});
  EXPECT_EQ(score.status, 0) << score.err;
  for (auto* process : {a.get(), b.get()}) {
    process->signal(SIGTERM);
    EXPECT_EQ(process->wait(15'000), 0) << process->err();
  }
}

TEST_F(Parts, TakeTheManifestFromTheSwarm) {
  auto whole = start("w", whole_, {"--new-swarm"});
  const std::string digest = ready_["w"]["model_digest"];
  std::string address = ready_["w"]["address"];
  const std::string early = parts("early", {0});
  expect_golden(early, address);
  EXPECT_EQ(read_file(early + "/" + kManifest).find(digest),
            read_file(whole_ + "/" + kManifest).find(digest));

  auto a = start("a", parts("a_parts", {1, 2}), {"--join", address, "--blocks", "0:5"});
  auto b = start("b", parts("b_parts", {0, 2, 3}), {"--join", address});
  EXPECT_EQ(ready_["a"]["model_digest"], digest);
  EXPECT_EQ(ready_["b"]["model_digest"], digest);
  EXPECT_EQ(ready_["b"]["blocks"], "3:8");
  whole->signal(SIGTERM);
  EXPECT_EQ(whole->wait(15'000), 0);
  // Nobody holds all of it any more; parts tell parts.
  address = ready_["a"]["address"];
  const std::string late = parts("late", {0});
  const Outcome status = shoal("status", late, address, {"--check"});
  EXPECT_EQ(status.status, 0) << status.err;
  expect_golden(late, address);
  for (auto* process : {a.get(), b.get()}) {
    process->signal(SIGTERM);
    EXPECT_EQ(process->wait(15'000), 0) << process->err();
  }
}

TEST_F(Parts, WhatIsMissingIsSaidInOneLine) {
  const auto fails = [&](const std::string& model, std::vector<std::string> arguments,
                         const std::vector<std::string>& texts) {
    model_ = model;
    arguments.insert(arguments.end(), {"--log-level", "warn"});
    expect_line(run(node("x", std::move(arguments)), 20'000), texts);
  };
  const std::string middle = parts("middle", {2}), ends = parts("ends", {0});
  fails(middle, {"--new-swarm", "--blocks", "2:5"},
        {middle + " holds blocks 3:6 of 8, not all of 2:5", names_[1],
         "model.layers.2.input_layernorm.weight", " and 6 more", "fetch it"});
  fails(middle, {"--new-swarm"}, {"holds parts of a model", names_[0], "join a swarm", kManifest});
  fails(ends, {"--new-swarm"}, {"no complete block", names_[1], "fetch"});
  expect_line(run({program("shoal"), "generate", "--local", "--model", ends, "Once"}, 20'000),
              {names_[1], "no such file", "model.layers.0.", "fetch it"});
  expect_line(
      run({program("shoal"), "generate", "--join", "127.0.0.1:1", "--model", middle, "Once"},
          20'000),
      {names_[0], "model.embed_tokens.weight", "fetch it"});

  // Another fine-tune of the same shapes.
  auto whole = start("w", whole_, {"--new-swarm", "--blocks", "0:1"});
  const std::string address = ready_["w"]["address"];
  for (const auto& [name, number] : {std::pair{"ends", 0}, {"middle", 2}}) {
    const std::string path = folder_.file(name) + "/" + names_[static_cast<std::size_t>(number)];
    std::string bytes = read_file(path);
    bytes[bytes.size() / 2] ^= 1;
    std::filesystem::remove(path);
    write_file(path, bytes);
  }
  const std::vector<std::string> other = {"nobody in this swarm serves a model that they belong to",
                                          "has other bytes here", kManifest};
  fails(middle, {"--join", address, "--blocks", "3:4"}, other);
  expect_line(shoal("generate", ends, address, {"Once"}), other);
  expect_line(shoal("status", ends, address, {}), other);
}

}  // namespace
}  // namespace shoal::tests
