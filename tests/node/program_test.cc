// SPDX-License-Identifier: Apache-2.0
// shoal-node as people run it: the ready file, the signals, and one clear line for everything that
// can be wrong.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "identity/swarm_key.h"
#include "tests/support/model_folder.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::node {
namespace {

using tests::Process;

constexpr const char* kModel = SHOAL_SOURCE_DIR "/models/demo";

class ProgramTest : public testing::Test {
 protected:
  std::vector<std::string> command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), tests::program("shoal-node"));
    return arguments;
  }
  // A node with identity and ready file NAME.
  std::vector<std::string> node(const std::string& name, std::vector<std::string> arguments) {
    std::vector<std::string> all = {"run",
                                    "--model",
                                    kModel,
                                    "--listen",
                                    "127.0.0.1:0",
                                    "--threads",
                                    "1",
                                    "--identity",
                                    folder_.file(name + ".key"),
                                    "--ready-file",
                                    folder_.file(name + ".json")};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return command(std::move(all));
  }
  nlohmann::json ready(const std::string& name, Process& process) {
    const std::string path = folder_.file(name + ".json");
    EXPECT_TRUE(tests::wait_for_file(path, process, 15'000)) << process.err();
    return nlohmann::json::parse(tests::read_file(path), nullptr, false);
  }

  struct Mistake {
    std::vector<std::string> command;
    std::vector<std::string> says;
  };
  // Each ends by itself within 15 s, with one line on stderr that says so, and leaves no ready
  // file. All run at once.
  void expect_errors(std::vector<Mistake> mistakes) {
    std::vector<Process> processes;
    for (Mistake& mistake : mistakes) {
      mistake.command.insert(mistake.command.end(), {"--log-level", "warn"});
      processes.emplace_back(mistake.command);
    }
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
    for (std::size_t i = 0; i < mistakes.size(); ++i) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      const int status = processes[i].wait(std::max(1, static_cast<int>(left.count())));
      const std::string err = processes[i].err();
      EXPECT_TRUE(status > 0 && status < 128) << status << ": " << err;
      EXPECT_EQ(processes[i].out(), "");
      EXPECT_EQ(err.rfind("shoal-node: ", 0), 0u) << err;
      EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
      for (const std::string& part : mistakes[i].says)
        EXPECT_NE(err.find(part), std::string::npos) << err;
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      const std::string name = entry.path().filename();
      EXPECT_FALSE(name.rfind("bad", 0) == 0 && entry.path().extension() != ".key" &&
                   entry.path().extension() != ".contacts")
          << name;
    }
  }
  void expect_error(std::vector<std::string> arguments, std::vector<std::string> says) {
    expect_errors({{std::move(arguments), std::move(says)}});
  }

  tests::TempDir folder_;
};

TEST_F(ProgramTest, IsOnlineWhenTheReadyFileSaysSoAndLeavesNothingBehind) {
  Process process(node("a", {"--new-swarm", "--blocks", "2:5", "--public-name", "anna"}));
  const auto json = ready("a", process);
  EXPECT_EQ(json["blocks"], "2:5");
  EXPECT_EQ(json["model"], "demo");
  EXPECT_EQ(json["pid"], process.pid());
  EXPECT_EQ(json["peer_id"].get<std::string>().size(), 64u);
  const std::string address = json["address"];
  EXPECT_EQ(address.rfind("127.0.0.1:", 0), 0u);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (process.out().empty() && std::chrono::steady_clock::now() < deadline) usleep(5'000);
  EXPECT_NE(process.out().find(address), std::string::npos) << process.out();
  EXPECT_NE(process.out().find(json["peer_id"].get<std::string>()), std::string::npos)
      << process.out();
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(10'000), 0) << process.err();
  EXPECT_FALSE(std::filesystem::exists(folder_.file("a.json")));
}

TEST_F(ProgramTest, WithoutBlocksTakesWhatFitsWhereItIsNeeded) {
  Process process(node("a", {"--new-swarm"}));
  EXPECT_EQ(ready("a", process)["blocks"], "0:8") << "the whole model fits into this machine";
}

TEST_F(ProgramTest, JoinsByABootstrapNodeWithTheSwarmsKeyAndNotWithout) {
  const std::string key = folder_.file("swarm.key");
  ASSERT_TRUE(identity::write_swarm_key(key, identity::generate_swarm_key()).ok());
  Process bootstrap(
      command({"bootstrap", "--listen", "127.0.0.1:0", "--swarm-key", key, "--identity",
               folder_.file("b.key"), "--ready-file", folder_.file("b.json")}));
  const auto json = ready("b", bootstrap);
  EXPECT_TRUE(json["blocks"].is_null());
  const std::string address = json["address"];
  Process first(node("a", {"--join", address, "--swarm-key", key, "--blocks", "0:4"}));
  EXPECT_EQ(ready("a", first)["blocks"], "0:4");

  const std::string other = folder_.file("other.key");
  ASSERT_TRUE(identity::write_swarm_key(other, identity::generate_swarm_key()).ok());
  expect_errors(
      {{node("bad", {"--join", address, "--swarm-key", other, "--join-timeout", "5"}),
        {address, "key"}},
       {node("bad2", {"--join", address, "--join-timeout", "5"}), {address, "key"}},
       {node("bad3", {"--join", "127.0.0.1:9", "--join-timeout", "5"}), {"127.0.0.1:9"}}});
  bootstrap.signal(SIGINT);
  EXPECT_EQ(bootstrap.wait(5'000), 0) << bootstrap.err();
  first.signal(SIGINT);
  EXPECT_EQ(first.wait(10'000), 0) << first.err();
}

TEST_F(ProgramTest, AModelThatDiffersIsRefusedUnlessAsked) {
  const std::string other = folder_.file("other-model");
  tests::copy_model(kModel, other);
  auto config = nlohmann::json::parse(tests::read_file(other + "/config.json"));
  config["rope_theta"] = 20'000.0;
  tests::write_file(other + "/config.json", config.dump());

  Process process(node("a", {"--new-swarm", "--blocks", "0:4"}));
  const std::string address = ready("a", process)["address"];
  const std::string digest = ready("a", process)["model_digest"];
  auto bad = node("bad", {"--join", address, "--blocks", "4:8"});
  *std::find(bad.begin(), bad.end(), kModel) = other;
  expect_error(bad, {"differs", "demo", digest, "other-model", "--add-model"});
  bad.push_back("--add-model");
  Process second(bad);
  EXPECT_EQ(ready("bad", second)["model"], "other-model");
}

TEST_F(ProgramTest, MistakesEndWithOneLine) {
  expect_errors(
      {{command({"run", "--model", kModel}), {"--new-swarm", "--join"}},
       {node("bad1", {"--new-swarm", "--blocks", "4:9"}), {"4:9", "8 blocks"}},
       {node("bad2", {"--new-swarm", "--blocks", "4"}), {"--blocks"}},
       {command({"run", "--model", folder_.file("nowhere"), "--new-swarm"}),
        {folder_.file("nowhere")}},
       {node("bad3", {"--new-swarm", "--swarm-key", folder_.file("no.key")}), {"no.key"}},
       {command({"run", "--model", kModel, "--new-swarm", "--ready-file",
                 folder_.file("no/folder.json")}),
        {"no/folder.json"}},
       {node("bad4", {"--new-swarm", "--kv-positions", "4000000000"}), {"--kv-positions", "MiB"}}});
}

// A GPU's float tensor cores, and weights that they take.
TEST_F(ProgramTest, FloatTensorCoresAreRefusedWhereThereAreNone) {
  const std::string fixtures = SHOAL_SOURCE_DIR "/tests/fixtures/models/";
  const auto run = [&](const std::string& name, const std::string& model) {
    return command({"run", "--model", model, "--new-swarm", "--listen", "127.0.0.1:0", "--identity",
                    folder_.file(name + ".key"), "--compute", "mma", "--device", "cpu"});
  };
  const std::string leave = ": leave it at --compute exact";
  expect_errors(
      {{node("bad1", {"--new-swarm", "--compute", "mma", "--device", "cpu"}),
        {"--compute mma needs a GPU", leave}},
       {node("bad2", {"--new-swarm", "--compute", "mma", "--weights", "q4"}),
        {"--compute mma multiplies weights as they are stored, and --weights is q4"}},
       {run("bad3", fixtures + "llama_mha"),
        {"--compute mma takes weights that are stored as bf16 or f16, and model.layers.0.",
         "is f32", leave}},
       {run("bad4", fixtures + "llama_bias"), {"--compute mma needs a GPU", leave}}});  // f16
  const tests::Outcome plan = tests::run(
      command({"plan", "--model", kModel, "--compute", "mma", "--device", "cpu"}), 15'000);
  EXPECT_EQ(plan.status, 1);
  EXPECT_EQ(plan.err.rfind("shoal-node: --compute mma needs a GPU", 0), 0u) << plan.err;
}

TEST_F(ProgramTest, ANameThatNobodyKnowsIsSaidAtOnceAndInTheEnd) {
  // No name server is asked for a name with an empty label.
  const tests::Outcome outcome = tests::run(
      node("bad", {"--join", "no-such-host..invalid:7000", "--join-timeout", "2"}), 15'000);
  EXPECT_EQ(outcome.status, 1);
  const std::size_t first = outcome.err.find("no-such-host..invalid");
  const std::size_t last = outcome.err.rfind("shoal-node: cannot find");
  EXPECT_LT(first, last) << outcome.err;
  EXPECT_NE(last, std::string::npos) << outcome.err;
}

TEST_F(ProgramTest, ATruncatedModelIsRefused) {
  const std::string model = folder_.file("cut");
  std::filesystem::copy(kModel, model, std::filesystem::copy_options::recursive);
  std::filesystem::resize_file(model + "/model.safetensors", 1'000'000);
  expect_error(command({"run", "--model", model, "--new-swarm"}), {"model.safetensors"});
}

TEST_F(ProgramTest, APortInUseIsNamed) {
  for (const int kind : {SOCK_STREAM, SOCK_DGRAM}) {
    const int taken = socket(AF_INET, kind, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    ASSERT_EQ(bind(taken, reinterpret_cast<sockaddr*>(&address), size), 0);
    if (kind == SOCK_STREAM) {
      ASSERT_EQ(listen(taken, 1), 0);
    }
    getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size);
    const std::string name = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    expect_error(command({"run", "--model", kModel, "--new-swarm", "--listen", name, "--identity",
                          folder_.file("bad.key"), "--ready-file", folder_.file("bad.json")}),
                 {name, "another program", "--listen"});
    close(taken);
  }
}

TEST_F(ProgramTest, OneIdentityServesOneNode) {
  Process process(node("a", {"--new-swarm", "--blocks", "0:1"}));
  ready("a", process);
  auto second = node("bad", {"--new-swarm"});
  second.insert(second.end(), {"--identity", folder_.file("a.key")});
  second.erase(std::find(second.begin(), second.end(), folder_.file("bad.key")) - 1,
               std::find(second.begin(), second.end(), folder_.file("bad.key")) + 1);
  expect_error(second, {"a.key", "in use"});
}

TEST_F(ProgramTest, StoppedWhileJoiningEndsQuietly) {
  Process process(node("a", {"--join", "127.0.0.1:9"}));
  usleep(700'000);
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(4'000), 0) << process.err();
  EXPECT_FALSE(std::filesystem::exists(folder_.file("a.json")));
}

TEST_F(ProgramTest, HelpIsCompleteAndVersionIsShort) {
  const tests::Outcome help = tests::run(command({"run", "--help"}), 5'000);
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.out.find("--new-swarm"), std::string::npos);
  EXPECT_EQ(help.err, "");
  EXPECT_EQ(tests::run(command({"--version"}), 5'000).out.rfind("shoal-node ", 0), 0u);
}

}  // namespace
}  // namespace shoal::node
