// SPDX-License-Identifier: Apache-2.0
// A client without a model: nothing on disk, an empty home. The golden ids all the same, whatever
// the cache holds, and one line where nodes do not agree or the swarm serves several models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

#include "tests/cli/process_swarm.h"
#include "tests/client/serve/http_client.h"
#include "tests/support/model_folder.h"

namespace shoal::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kChatTemplate = "chat_template.jinja";

class NoModel : public testing::Test {
 protected:
  // COMMAND --join FIRST ARGUMENTS in an empty home; environment: NAME=VALUE words.
  Outcome shoal(const ProcessSwarm& swarm, const std::string& command,
                std::vector<std::string> arguments, const std::string& input = "",
                std::vector<std::string> environment = {}) const {
    std::vector<std::string> all = {"/usr/bin/env", "-u", "XDG_CACHE_HOME", "HOME=" + home_.path(),
                                    "HF_HUB_OFFLINE=1"};
    all.insert(all.end(), environment.begin(), environment.end());
    all.insert(all.end(), {program("shoal"), command, "--join", swarm.address(0)});
    all.insert(all.end(), arguments.begin(), arguments.end());
    return run(all, 60'000, input);
  }
  // The demo model with another chat template, in a folder of this name.
  std::string changed_model(const std::string& name) const {
    const std::string folder = folder_.file(name);
    copy_model(kDemoModel, folder);
    fs::remove(folder + "/" + kChatTemplate);
    write_file(folder + "/" + kChatTemplate, "{{ messages[-1].content }} pay me");
    return folder;
  }
  // Another model: one weight differs.
  std::string other_model(const std::string& name) const {
    const std::string folder = folder_.file(name), weights = folder + "/model.safetensors";
    copy_model(kDemoModel, folder);
    std::string bytes = read_file(weights);
    bytes[bytes.size() / 2] ^= 1;
    fs::remove(weights);
    write_file(weights, bytes);
    return folder;
  }
  static void expect_line(const Outcome& outcome, const std::vector<std::string>& parts) {
    EXPECT_NE(outcome.status, 0) << outcome.out;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts) EXPECT_THAT(outcome.err, HasSubstr(part));
  }
  std::vector<std::string> golden_arguments() const {
    const json prompt = golden().at("prompts").at(0);
    return {"--json", "--greedy", "--max-tokens", std::to_string(prompt.at("greedy_ids").size()),
            prompt.at("prompt").get<std::string>()};
  }
  static void expect_golden(const Outcome& outcome) {
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(json::parse(outcome.out).at("ids"), golden().at("prompts").at(0).at("greedy_ids"));
  }
  std::size_t kept_folders() const {
    std::size_t count = 0;
    std::error_code ignored;
    for (fs::directory_iterator at(home_.file(".cache/shoal/companions"), ignored), end; at != end;
         ++at) {
      ++count;
    }
    return count;
  }

  const TempDir folder_, home_;
};

TEST_F(NoModel, TheGoldenIdsFromAnEmptyHome) {
  ProcessSwarm swarm;
  for (const char* blocks : {"0:3", "3:6", "6:8"}) swarm.start_node(blocks);
  expect_golden(shoal(swarm, "generate", golden_arguments()));
  EXPECT_EQ(kept_folders(), 1u);
  expect_golden(shoal(swarm, "generate", golden_arguments()));  // from what was kept
  EXPECT_EQ(kept_folders(), 1u);

  // Nowhere to keep anything.
  const Outcome homeless = shoal(swarm, "generate", golden_arguments(), "",
                                 {"HOME=/nonexistent", "TMPDIR=" + folder_.path()});
  expect_golden(homeless);
  EXPECT_TRUE(fs::is_empty(folder_.path()));

  // By the model's name, and what is like it.
  std::vector<std::string> named = golden_arguments();
  named.insert(named.begin(), {"--model", "demo"});
  expect_golden(shoal(swarm, "generate", named));
  expect_line(shoal(swarm, "generate", {"--model", "dmeo", "Once"}), {"did you mean demo?"});
  expect_line(shoal(swarm, "generate", {"--ends", "local", "Once"}), {"--ends local", "--model"});
  const std::string text = folder_.file("text");
  write_file(text, read_file(kDemoModel + "/heldout.txt").substr(0, 2'000));
  const Outcome score = shoal(swarm, "score", {"--json", text});
  ASSERT_EQ(score.status, 0) << score.err;
  const Outcome local = shoal(swarm, "score", {"--json", "--model", kDemoModel, text});
  EXPECT_NEAR(json::parse(score.out).at("mean_nll").get<double>(),
              json::parse(local.out).at("mean_nll").get<double>(), 1e-12);
  EXPECT_EQ(json::parse(score.out).at("head"), "stored");

  // A folder of small files alone, and one whose ends are left alone.
  const std::string small = folder_.file("small");
  fs::create_directories(small);
  for (const char* name : {"config.json", "tokenizer.json", "generation_config.json"}) {
    fs::copy_file(kDemoModel + "/" + name, small + "/" + name);
  }
  for (const std::vector<std::string>& model :
       {std::vector<std::string>{"--model", small},
        std::vector<std::string>{"--model", kDemoModel, "--ends", "remote"}}) {
    std::vector<std::string> arguments = golden_arguments();
    arguments.insert(arguments.begin(), model.begin(), model.end());
    expect_golden(shoal(swarm, "generate", arguments));
  }
}

// Those that compute the model's ends: the first hop embeds, the last one scores.
TEST_F(NoModel, ItsFirstAndThenItsLastHopAreKilled) {
  ProcessSwarm swarm;
  for (const char* blocks : {"0:4", "4:8", "0:4", "4:8"}) swarm.start_node(blocks);
  const std::vector<std::string> arguments = {"--json",       "--greedy", "--ignore-eos",
                                              "--max-tokens", "400",      "Once upon"};
  std::vector<std::string> command = {
      "/usr/bin/env",   "-u",       "XDG_CACHE_HOME", "HOME=" + home_.path(),
      program("shoal"), "generate", "--join",         swarm.address(0),
      "--trace"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  Process client(command);
  // The node with these blocks that token `number` went through, killed.
  const auto kill_hop = [&](int number, std::size_t first) {
    const std::string begin = "\ntoken " + std::to_string(number) + ":";
    std::string trace;
    for (int i = 0; i < 4'000 && trace.find(begin) == std::string::npos; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      trace = client.err();
    }
    ASSERT_THAT(trace, HasSubstr(begin));
    const std::string line = trace.substr(trace.find(begin) + 1);
    const std::string token = line.substr(0, line.find('\n'));
    const bool other = token.find(swarm.peer_id(first).substr(0, 8)) == std::string::npos;
    swarm.node(first + (other ? 2 : 0)).signal(SIGKILL);
  };
  kill_hop(20, 0);
  kill_hop(150, 1);
  ASSERT_EQ(client.wait(60'000), 0) << client.err();
  const json answer = json::parse(client.out());
  EXPECT_EQ(answer.at("reroutes"), 2);
  std::vector<std::string> local = {program("shoal"), "generate", "--local", "--model", kDemoModel};
  local.insert(local.end(), arguments.begin(), arguments.end());
  const Outcome alone = run(local, 60'000);
  ASSERT_EQ(alone.status, 0) << alone.err;
  EXPECT_EQ(answer.at("ids"), json::parse(alone.out).at("ids"));
  EXPECT_EQ(answer.at("exact"), true);
}

TEST_F(NoModel, ATalk) {
  ProcessSwarm swarm;
  for (const char* blocks : {"0:4", "4:8"}) swarm.start_node(blocks);
  const std::vector<std::string> arguments = {"--greedy", "--max-tokens", "8"};
  const Outcome remote = shoal(swarm, "chat", arguments, "Once upon a time\n");
  ASSERT_EQ(remote.status, 0) << remote.err;
  std::vector<std::string> local = arguments;
  local.insert(local.begin(), {"--model", kDemoModel});
  EXPECT_EQ(remote.out, shoal(swarm, "chat", local, "Once upon a time\n").out);
}

TEST_F(NoModel, AGateway) {
  ProcessSwarm swarm;
  for (const char* blocks : {"0:4", "4:8"}) swarm.start_node(blocks);
  Process serve({"/usr/bin/env", "-u", "XDG_CACHE_HOME", "HOME=" + home_.path(), program("shoal"),
                 "serve", "--join", swarm.address(0), "--listen", "127.0.0.1:0"});
  const std::string before = "serving demo at http://127.0.0.1:";
  for (int i = 0; i < 400 && serve.out().find("/v1\n") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ASSERT_THAT(serve.out(), ::testing::StartsWith(before)) << serve.err();
  const auto port = static_cast<std::uint16_t>(std::stoi(serve.out().substr(before.size())));
  const auto ask = [port](json request) {
    HttpClient client(port);
    const std::string body = request.dump();
    client.send(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_TRUE(client.receive_end(30'000));
    return json::parse(client.received.substr(client.received.find("\r\n\r\n") + 4));
  };
  const json prompt = golden().at("prompts").at(0);
  const json answer = ask({{"prompt", prompt.at("prompt")},
                           {"max_tokens", prompt.at("greedy_ids").size()},
                           {"temperature", 0}});
  EXPECT_EQ(answer.at("model"), "demo");
  EXPECT_EQ(prompt.at("prompt").get<std::string>() +
                answer.at("choices").at(0).at("text").get<std::string>(),
            prompt.at("text"))
      << answer;
  // Far from what the model would say: the node is asked for what the form allows, by name.
  const json chosen = ask({{"prompt", prompt.at("prompt")},
                           {"structured_outputs", {{"choice", {"7!#zq%", "9@@xk~"}}}}});
  EXPECT_THAT(chosen.at("choices").at(0).at("text"), ::testing::AnyOf("7!#zq%", "9@@xk~"))
      << chosen;
  serve.signal(SIGTERM);
  EXPECT_EQ(serve.wait(15'000), 128 + SIGTERM) << serve.err();
}

TEST_F(NoModel, NodesThatDisagreeAreNamed) {
  ProcessSwarm swarm;
  const std::string changed = changed_model("demo");
  swarm.start_node("0:4");
  swarm.start_node("4:8", {});
  swarm.start_node("0:4", {"--model", changed});
  const std::string liar = swarm.peer_id(2).substr(0, 8);
  expect_line(
      shoal(swarm, "generate", {"Once"}),
      {"nodes disagree on chat_template.jinja", liar + " says ", "--model ORG/NAME", "a folder"});
  EXPECT_EQ(kept_folders(), 0u);
}

TEST_F(NoModel, SeveralModelsAreListed) {
  ProcessSwarm swarm;
  swarm.start_node("0:8");
  swarm.start_node("0:8", {"--model", other_model("other"), "--add-model", "--ends", "off"});
  expect_line(shoal(swarm, "generate", {"Once"}),
              {"serves several models", "\"demo\" (8 of 8 blocks, 1 node", "\"other\" (8 of 8",
               "--model NAME"});
  expect_line(shoal(swarm, "generate", {"--model", "demon", "Once"}), {"did you mean demo?"});
  const Outcome status = shoal(swarm, "status", {"--model", "other", "--check"});
  EXPECT_EQ(status.status, 0) << status.err;
  EXPECT_THAT(status.out, AllOf(HasSubstr("other"), Not(HasSubstr("demo"))));
  const Outcome models = shoal(swarm, "models", {});
  EXPECT_EQ(models.status, 0) << models.err;
  EXPECT_THAT(models.out, AllOf(HasSubstr("no models in"), HasSubstr("demo      8 of 8"),
                                HasSubstr("other     8 of 8"), HasSubstr("not the ends")));
  const json served = json::parse(shoal(swarm, "models", {"--json"}).out).at("swarm");
  ASSERT_EQ(served.size(), 2u);
  for (const json& model : served) {
    EXPECT_EQ(model.at("blocks"), 8);
    EXPECT_EQ(model.at("served"), 8);
    EXPECT_EQ(model.at("missing"), json::array());
    EXPECT_EQ(model.at("nodes"), 1);
    EXPECT_EQ(model.at("ends"), model.at("model") == "demo");
  }
}

}  // namespace
}  // namespace shoal::tests
