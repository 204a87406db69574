// SPDX-License-Identifier: Apache-2.0
// A model by its name, from the command line: the golden text from a hub on loopback, local and
// through a swarm of nodes that hold nothing but their spans; pulls that are killed and go on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "tests/cli/machines.h"
#include "tests/support/hub_server.h"

namespace shoal::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kHubWeights = "model.safetensors";

class Hub : public Machines {
 protected:
  Hub() {
    ::setenv("no_proxy", "127.0.0.1,127.0.0.2", 1);
    ::setenv("HF_ENDPOINT", server_.endpoint().c_str(), 1);
    ::setenv("HF_HOME", folder_.file("hf").c_str(), 1);
    for (const char* name : {"HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE",
                             "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}) {
      ::unsetenv(name);
    }
    model_ = "org/demo";
  }
  ~Hub() override { ::unsetenv("HF_HUB_OFFLINE"); }

  Outcome shoal(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), program("shoal"));
    return run(arguments, 60'000);
  }
  void expect_golden(std::vector<std::string> arguments) {
    const json prompt = golden().at("prompts").at(0);
    arguments.insert(arguments.begin(), {"generate", "--model", "org/demo"});
    for (const std::string& argument :
         {std::string("--json"), std::string("--greedy"), std::string("--max-tokens"),
          std::to_string(prompt.at("greedy_ids").size()), prompt.at("prompt").get<std::string>()}) {
      arguments.push_back(argument);
    }
    const Outcome outcome = shoal(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(json::parse(outcome.out).at("ids"), prompt.at("greedy_ids"));
  }
  void expect_line(const Outcome& outcome, int status, const std::vector<std::string>& parts) {
    EXPECT_EQ(outcome.status, status) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
  }
  std::string blob() const {
    return folder_.file("hf/hub/models--org--demo/blobs/") + server_.sha256(kHubWeights);
  }

  HubServer server_{"org/demo", kDemoModel};
  const std::uint64_t size_ = fs::file_size(kDemoModel + "/" + kHubWeights);
};

TEST_F(Hub, TheGoldenTextByTheModelsName) {
  expect_golden({"--local"});
  server_.forget_requests();
  expect_golden({"--local"});
  EXPECT_EQ(server_.bytes_sent(kHubWeights), 0u);
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  expect_golden({"--local"});
}

TEST_F(Hub, NodesFetchTheirSpansAndClientsTheEnds) {
  const auto start = [&](const std::string& name, std::vector<std::string> arguments) {
    // Each on a machine of its own.
    std::vector<std::string> command = {"/usr/bin/env", "HF_HOME=" + folder_.file("hf_" + name)};
    for (std::string& word : node(name, std::move(arguments))) command.push_back(std::move(word));
    return std::make_unique<Process>(std::move(command));
  };
  auto a = start("a", {"--new-swarm", "--blocks", "0:2", "--ends", "off"});
  const json first = ready("a", *a);
  const std::uint64_t span = server_.bytes_sent(kHubWeights);
  EXPECT_LT(span, size_ / 4);
  const std::string address = first.at("address");
  auto b = start("b", {"--join", address, "--blocks", "2:8"});
  EXPECT_EQ(ready("b", *b).at("model_digest"), first.at("model_digest"));
  EXPECT_EQ(first.at("model"), "org/demo");
  server_.forget_requests();
  expect_golden({"--join", address});
  EXPECT_LT(server_.bytes_sent(kHubWeights), size_ / 2);
  // The hub's small files, and no weights at all: a node has the embedding.
  auto c = start("c", {"--join", address, "--blocks", "0:1", "--ends", "on"});
  ready("c", *c);
  ::setenv("HF_HOME", folder_.file("hf_none").c_str(), 1);
  server_.forget_requests();
  expect_golden({"--join", address, "--ends", "remote"});
  EXPECT_LT(server_.bytes_sent(kHubWeights), 64u << 10);
  ::setenv("HF_HOME", folder_.file("hf").c_str(), 1);
  const Outcome status = shoal({"status", "--model", "org/demo", "--join", address, "--check"});
  EXPECT_EQ(status.status, 0) << status.err;
  // Whoever has the folder serves and asks the same model.
  const Outcome folder =
      shoal({"generate", "--model", kDemoModel, "--join", address, "--max-tokens", "2", "Once"});
  EXPECT_EQ(folder.status, 0) << folder.err;
  for (auto* process : {a.get(), b.get(), c.get()}) {
    process->signal(SIGTERM);
    EXPECT_EQ(process->wait(15'000), 0) << process->err();
  }
}

TEST_F(Hub, ANodeChoosesItsSpanByHeadersAlone) {
  const Outcome plan =
      run({program("shoal-node"), "plan", "--model", "org/demo", "--json"}, 60'000);
  ASSERT_EQ(plan.status, 0) << plan.err;
  EXPECT_EQ(json::parse(plan.out).at("blocks"), 8);
  EXPECT_LT(server_.bytes_sent(kHubWeights), 64u << 10);
  Process node_process(node("a", {"--new-swarm"}));
  EXPECT_EQ(ready("a", node_process).at("blocks"), "0:8");
  node_process.signal(SIGTERM);
  EXPECT_EQ(node_process.wait(15'000), 0) << node_process.err();
}

TEST_F(Hub, APullThatIsKilledGoesOn) {
  server_.set_rule([](const HubRequest& request, HubAnswer& answer) {
    if (request.file == kHubWeights) answer.bytes_per_s = 1 << 20;
  });
  for (int kill = 1; kill <= 2; ++kill) {
    Process pull({program("shoal"), "pull", "org/demo"});
    const std::uint64_t until = static_cast<std::uint64_t>(kill) * 4'000'000;
    ASSERT_TRUE(eventually(30'000, [&] { return server_.bytes_sent(kHubWeights) > until; }));
    pull.signal(SIGKILL);
    pull.wait(5'000);
    EXPECT_FALSE(fs::exists(blob()));
  }
  server_.set_rule({});
  const Outcome pull = shoal({"pull", "org/demo"});
  ASSERT_EQ(pull.status, 0) << pull.err;
  // Twice killed: twice at most so much was lost, with what was under way.
  EXPECT_LE(server_.bytes_sent(kHubWeights), size_ + 2 * (1u << 20));
  const std::string folder = pull.out.substr(0, pull.out.find('\n'));
  EXPECT_EQ(read_file(folder + "/" + kHubWeights), read_file(kDemoModel + "/" + kHubWeights));
  expect_golden({"--local"});
}

TEST_F(Hub, TwoPullsAtATimeFetchItOnce) {
  server_.set_rule([](const HubRequest& request, HubAnswer& answer) {
    if (request.file == kHubWeights) answer.bytes_per_s = 4 << 20;
  });
  const std::vector<std::string> command = {program("shoal"), "pull", "org/demo"};
  for (const Outcome& outcome : run_together({command, command}, 60'000)) {
    EXPECT_EQ(outcome.status, 0) << outcome.err;
  }
  EXPECT_EQ(server_.bytes_sent(kHubWeights), size_);
}

TEST_F(Hub, PullAndModelsSayWhatIsHere) {
  const Outcome none = shoal({"models"});
  EXPECT_EQ(none.status, 0) << none.err;
  EXPECT_THAT(none.out, HasSubstr("shoal pull"));
  ASSERT_EQ(shoal({"pull", "org/demo", "--blocks", "0:2"}).status, 0);
  ASSERT_EQ(shoal({"pull", "org/demo", "--ends"}).status, 0);
  EXPECT_THAT(shoal({"models"}).out,
              AllOf(HasSubstr("org/demo"), HasSubstr("blocks 0:2, ends"), HasSubstr("13.3 MiB")));
  ASSERT_EQ(shoal({"pull", "org/demo"}).status, 0);
  const Outcome listed = shoal({"models", "--json"});
  const json model = json::parse(listed.out).at("models").at(0);
  EXPECT_EQ(model.at("model"), "org/demo");
  EXPECT_EQ(model.at("weight_bytes"), size_);
  EXPECT_EQ(model.at("whole_bytes"), size_);
  EXPECT_THAT(shoal({"models", "remove", "org/demo"}).out, HasSubstr("removed org/demo"));
  EXPECT_FALSE(fs::exists(folder_.file("hf/hub/models--org--demo")));
  expect_line(shoal({"models", "remove", "org/demo"}), 1, {"org/demo is not in"});
}

TEST_F(Hub, MistakesAreSaidInOneLine) {
  expect_line(shoal({"generate", "--local", "--model", "org/dmeo", "Once"}), 1,
              {"org/dmeo", "no such folder", "misspelling"});
  expect_line(shoal({"generate", "--local", "--model", "nothing", "Once"}), 1,
              {"no such folder", "ORG/NAME[@REVISION]"});
  expect_line(shoal({"pull", "org/demo@v7"}), 1, {"no revision v7"});
  expect_line(shoal({"pull", "nothing"}), 2, {"ORG/NAME[@REVISION]"});
  expect_line(shoal({"pull", "org/demo", "--ends", "--blocks", "0:1"}), 2, {"exclude each other"});
  server_.set_rule([](const HubRequest&, HubAnswer& answer) {
    answer = {.status = 401, .headers = {{"X-Error-Code", "GatedRepo"}}, .body = ""};
  });
  expect_line(shoal({"pull", "org/demo"}), 1, {"accept its license at", "/org/demo", "HF_TOKEN"});
  expect_line(run({program("shoal-node"), "run", "--new-swarm", "--model", "org/demo"}, 20'000), 1,
              {"accept its license at"});
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  expect_line(shoal({"pull", "org/demo"}), 1, {"HF_HUB_OFFLINE"});
}

}  // namespace
}  // namespace shoal::tests
