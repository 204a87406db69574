// SPDX-License-Identifier: Apache-2.0
// A node and its owner: what it did, paused and resumed over its local socket, hours, and the lines
// of its log, with real processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <thread>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class OwnerTest : public testing::Test {
 protected:
  // Its identity stands beside its ready file.
  std::unique_ptr<Process> start(const std::string& name, std::vector<std::string> more) {
    std::vector<std::string> command = {
        program("shoal-node"), "run", "--model",    kDemoModel, "--listen",     "127.0.0.1:0",
        "--threads",           "1",   "--identity", key(name),  "--ready-file", ready(name)};
    command.insert(command.end(), more.begin(), more.end());
    return std::make_unique<Process>(std::move(command));
  }
  std::string key(const std::string& name) const { return folder_.file(name + ".key"); }
  std::string ready(const std::string& name) const { return folder_.file(name + ".ready"); }
  std::string address(const std::string& name) const {
    return json::parse(read_file(ready(name))).at("address");
  }
  Outcome owner(std::vector<std::string> words, const std::string& name = "a") const {
    words.insert(words.begin(), program("shoal-node"));
    words.insert(words.end(), {"--identity", key(name)});
    return run(words, 10'000);
  }
  json status(const std::string& name = "a") const {
    const Outcome outcome = owner({"status", "--json"}, name);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json::parse(outcome.out) : json();
  }
  bool comes_to(const std::string& state, const std::string& name = "a") const {
    for (int tries = 0; tries < 100; ++tries) {
      if (status(name).value("state", "") == state) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  }
  Outcome generate() const {
    const json prompt = golden().at("prompts").at(0);
    const Outcome outcome =
        run({program("shoal"), "generate", "--model", kDemoModel, "--join", address("a"), "--json",
             "--greedy", "--max-tokens", std::to_string(prompt.at("greedy_ids").size()),
             prompt.at("prompt").get<std::string>()},
            30'000);
    if (outcome.status == 0) {
      EXPECT_EQ(json::parse(outcome.out).at("ids"), prompt.at("greedy_ids"));
    }
    return outcome;
  }
  Outcome check() const {
    return run({program("shoal"), "status", "--check", "--join", address("a")}, 20'000);
  }

  TempDir folder_;
};

TEST_F(OwnerTest, IsToldWhatTheMachineDid) {
  const auto node = start("a", {"--new-swarm"});
  ASSERT_TRUE(wait_for_file(ready("a"), *node, 15'000)) << node->err();
  ASSERT_EQ(generate().status, 0);
  json now;
  for (int tries = 0; tries < 50; ++tries) {  // computing is looked at once a second
    now = status();
    if (now.at("run").at("computing_seconds") > 0 && now.at("run").at("sessions_ended") == 1) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const std::size_t generated = golden().at("prompts").at(0).at("greedy_ids").size();
  EXPECT_EQ(now.at("state"), "serving");
  EXPECT_EQ(now.at("blocks"), "0:8");
  EXPECT_EQ(now.at("run").at("sessions_opened"), 1);
  EXPECT_EQ(now.at("run").at("sessions_ended"), 1);
  EXPECT_EQ(now.at("run").at("sessions_failed"), 0);
  EXPECT_EQ(now.at("run").at("decode_tokens"), generated - 1);
  EXPECT_GT(now.at("run").at("prefill_tokens"), 0);
  EXPECT_GT(now.at("run").at("bytes_in"), 0);
  EXPECT_GT(now.at("run").at("bytes_out"), 0);
  EXPECT_GT(now.at("run").at("computing_seconds"), 0);
  const std::uint64_t tokens = now.at("run").at("tokens");

  // Killed and started again: the same machine since its first day.
  node->signal(SIGTERM);
  ASSERT_EQ(node->wait(15'000), 0);
  const std::string log = node->err();
  EXPECT_THAT(log, HasSubstr("joined the swarm as node "));
  EXPECT_THAT(log, HasSubstr(" opened by client "));
  EXPECT_THAT(log, HasSubstr(" ended after "));
  EXPECT_THAT(log, HasSubstr("in this run of "));
  EXPECT_THAT(log, HasSubstr(": 1 session; "));
  EXPECT_FALSE(std::filesystem::exists(folder_.file("a.sock")));
  const Outcome gone = owner({"status"});
  EXPECT_EQ(gone.status, 1);
  EXPECT_THAT(gone.err, HasSubstr("no node runs here with the identity " + key("a")));
  std::filesystem::remove(ready("a"));
  const auto again = start("a", {"--new-swarm"});
  ASSERT_TRUE(wait_for_file(ready("a"), *again, 15'000)) << again->err();
  now = status();
  EXPECT_EQ(now.at("run").at("tokens"), 0);
  EXPECT_EQ(now.at("all").at("tokens"), tokens);
  EXPECT_EQ(now.at("all").at("sessions_opened"), 1);
  const Outcome text = owner({"status"});
  EXPECT_THAT(text.out, HasSubstr(": serving, blocks 0:8 of "));
  EXPECT_THAT(text.out, HasSubstr("in all"));
}

TEST_F(OwnerTest, PausesAndResumes) {
  const auto node = start("a", {"--new-swarm"});
  ASSERT_TRUE(wait_for_file(ready("a"), *node, 15'000)) << node->err();
  ASSERT_EQ(check().status, 0);
  const Outcome paused = owner({"pause"});
  EXPECT_EQ(paused.status, 0) << paused.err;
  EXPECT_THAT(paused.out, HasSubstr("takes no new sessions and pauses; open now: 0"));
  ASSERT_TRUE(comes_to("paused"));
  const Outcome checked = check();
  EXPECT_EQ(checked.status, 1) << checked.out;
  // Whom it answers finds it at once.
  const Outcome resumed = owner({"resume"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("serves again"));
  EXPECT_EQ(status().at("state"), "serving");
  EXPECT_EQ(check().status, 0);
  EXPECT_EQ(generate().status, 0);
  // For a time.
  EXPECT_EQ(owner({"pause", "--for", "2s"}).status, 0);
  ASSERT_TRUE(comes_to("paused"));
  ASSERT_TRUE(comes_to("serving"));
  EXPECT_EQ(generate().status, 0);
  EXPECT_GE(status().at("run").at("paused_seconds"), 0.5);
}

TEST_F(OwnerTest, GivesItsMemoryBackAndComesBack) {
  const auto node = start("a", {"--new-swarm"});
  ASSERT_TRUE(wait_for_file(ready("a"), *node, 15'000)) << node->err();
  EXPECT_EQ(owner({"pause", "--free"}).status, 0);
  for (int tries = 0; tries < 100 && std::filesystem::exists(ready("a")); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_FALSE(std::filesystem::exists(ready("a")));
  ASSERT_TRUE(comes_to("paused"));
  EXPECT_EQ(status().at("blocks"), nullptr);
  EXPECT_EQ(owner({"resume"}).status, 0);
  ASSERT_TRUE(comes_to("serving")) << node->err();
  EXPECT_EQ(generate().status, 0);
}

TEST_F(OwnerTest, DrainsAndStops) {
  const auto node = start("a", {"--new-swarm"});
  ASSERT_TRUE(wait_for_file(ready("a"), *node, 15'000)) << node->err();
  Process client({program("shoal"), "generate", "--model", kDemoModel, "--join", address("a"),
                  "--max-tokens", "600", "--temperature", "1", "Once upon a time"});
  for (int tries = 0; tries < 100 && status().at("sessions") == 0; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_EQ(owner({"drain", "--stop"}).status, 0);
  // It ends in peace, and the node behind it.
  EXPECT_EQ(client.wait(60'000), 0) << client.err();
  EXPECT_EQ(node->wait(15'000), 0);
  EXPECT_THAT(node->err(), HasSubstr("its sessions have ended"));
  EXPECT_THAT(node->err(), Not(HasSubstr("1 of them failed")));
}

// Nobody is there, and nothing has been begun that it would have to finish.
TEST_F(OwnerTest, ANodeThatWaitsForItsSwarmDoesAsItIsTold) {
  const std::string nobody = "127.0.0.1:1";
  const auto waits = [&](const std::string& name) {
    auto node = start(name, {"--join", nobody});
    for (int tries = 0; tries < 100; ++tries) {
      const Outcome outcome = owner({"status"}, name);
      if (outcome.out.find("waits for its swarm: no answer from " + nobody + " since ") !=
          std::string::npos) {
        return node;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    ADD_FAILURE() << owner({"status"}, name).out << node->err();
    return node;
  };
  const auto paused = waits("a");
  const auto stopped = waits("b");
  EXPECT_EQ(status().at("waits_for"), nobody);
  // It rests, tries again, and hands over.
  EXPECT_EQ(owner({"pause"}).status, 0);
  ASSERT_TRUE(comes_to("paused")) << paused->err();
  EXPECT_EQ(owner({"resume"}).status, 0);
  ASSERT_TRUE(comes_to("starting")) << paused->err();
  const auto successor = start("a", {"--new-swarm", "--take-over"});
  EXPECT_EQ(paused->wait(5'000), 0) << paused->err();
  EXPECT_TRUE(wait_for_file(ready("a"), *successor, 15'000)) << successor->err();
  EXPECT_EQ(owner({"drain", "--stop"}, "b").status, 0);
  EXPECT_EQ(stopped->wait(5'000), 0) << stopped->err();
}

TEST_F(OwnerTest, LogsANextHopThatIsLost) {
  const auto node = start("a", {"--new-swarm", "--blocks", "0:4"});
  ASSERT_TRUE(wait_for_file(ready("a"), *node, 15'000)) << node->err();
  const auto next = start("b", {"--join", address("a"), "--blocks", "4:8"});
  ASSERT_TRUE(wait_for_file(ready("b"), *next, 15'000)) << next->err();
  Process client({program("shoal"), "generate", "--model", kDemoModel, "--join", address("a"),
                  "--max-tokens", "1500", "--temperature", "1", "Once upon a time"});
  const auto computed = [&] { return status("b").at("run").at("decode_tokens"); };
  for (int tries = 0; tries < 200 && computed() == 0; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  next->signal(SIGKILL);
  for (int tries = 0; tries < 100 && status().at("run").at("hops_lost") == 0; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_GE(status().at("run").at("hops_lost"), 1);
  EXPECT_THAT(node->err(), HasSubstr(" lost its next hop "));
  // What a killed node leaves is no node.
  EXPECT_EQ(owner({"status"}, "b").status, 1);
}

TEST_F(OwnerTest, ServesInItsHoursOnly) {
  // An hour that begins in half a day, whatever the time is.
  const std::time_t now = std::time(nullptr);
  const int begin = (std::localtime(&now)->tm_hour + 12) % 24;
  const std::string hours = std::to_string(begin) + "-" + std::to_string((begin + 1) % 24);
  const auto node = start("a", {"--new-swarm", "--hours", hours});
  json away;
  for (int tries = 0; tries < 100; ++tries) {
    const Outcome outcome = owner({"status", "--json"});
    if (outcome.status == 0) away = json::parse(outcome.out);
    if (away.is_object() && away.at("state") == "paused") break;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  ASSERT_TRUE(away.is_object()) << node->err();
  EXPECT_EQ(away.at("state"), "paused");
  EXPECT_EQ(away.at("pause").at("why"), "hours");
  EXPECT_FALSE(std::filesystem::exists(ready("a")));
  EXPECT_EQ(owner({"resume"}).status, 0);
  ASSERT_TRUE(wait_for_file(ready("a"), *node, 15'000)) << node->err();
  ASSERT_TRUE(comes_to("serving"));
  EXPECT_EQ(generate().status, 0);
  node->signal(SIGTERM);
  EXPECT_EQ(node->wait(15'000), 0);
}

TEST_F(OwnerTest, OfSeveralNodesSaysWhichIsMeant) {
  // Their identities are the default ones, of a home of their own.
  const std::vector<std::string> home = {"/usr/bin/env", "XDG_RUNTIME_DIR=" + folder_.path(),
                                         "XDG_STATE_HOME=" + folder_.path()};
  const auto with_home = [&](std::vector<std::string> command) {
    command.insert(command.begin(), home.begin(), home.end());
    return command;
  };
  const Outcome none = run(with_home({program("shoal-node"), "status"}), 10'000);
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("no node of this user runs here"));
  std::vector<std::unique_ptr<Process>> nodes;
  for (const char* name : {"a", "b"}) {
    nodes.push_back(std::make_unique<Process>(
        with_home({program("shoal-node"), "run", "--model", kDemoModel, "--listen", "127.0.0.1:0",
                   "--threads", "1", "--new-swarm", "--ready-file", ready(name)})));
    ASSERT_TRUE(wait_for_file(ready(name), *nodes.back(), 15'000)) << nodes.back()->err();
  }
  const Outcome both = run(with_home({program("shoal-node"), "status"}), 10'000);
  EXPECT_EQ(both.status, 0);
  for (const char* name : {"a", "b"}) {
    EXPECT_THAT(
        both.out,
        HasSubstr(
            json::parse(read_file(ready(name))).at("peer_id").get<std::string>().substr(0, 16)));
  }
  const Outcome which = run(with_home({program("shoal-node"), "pause"}), 10'000);
  EXPECT_EQ(which.status, 1);
  EXPECT_THAT(which.err, HasSubstr("2 nodes run here"));
  EXPECT_THAT(which.err, HasSubstr("--identity FILE"));
  EXPECT_THAT(which.err, HasSubstr(folder_.file("shoal/node-2.key, ")));
  EXPECT_THAT(which.err, HasSubstr(folder_.file("shoal/node.key)")));
  const Outcome one = run(
      with_home({program("shoal-node"), "pause", "--identity", folder_.file("shoal/node-2.key")}),
      10'000);
  EXPECT_EQ(one.status, 0) << one.err;
}

TEST_F(OwnerTest, TheSameCommandTwiceNamesTheNodeThatRuns) {
  write_file(folder_.file("c.toml"), "log-level = \"info\"\n[run]\nmodel = \"" +
                                         std::string(kDemoModel) + "\"\nnew-swarm = true\n");
  const auto command = [&](const std::string& listen) {
    return std::vector<std::string>{"/usr/bin/env",
                                    "XDG_RUNTIME_DIR=" + folder_.path(),
                                    "XDG_STATE_HOME=" + folder_.path(),
                                    "SHOAL_NODE_THREADS=1",
                                    program("shoal-node"),
                                    "run",
                                    "--config",
                                    folder_.file("c.toml"),
                                    "--listen",
                                    listen,
                                    "--ready-file",
                                    ready("a")};
  };
  Process node(command("127.0.0.1:0"));
  ASSERT_TRUE(wait_for_file(ready("a"), node, 15'000)) << node.err();
  EXPECT_THAT(node.err(),
              HasSubstr("options from " + folder_.file("c.toml") +
                        ": log-level, model, new-swarm; from the environment: SHOAL_NODE_THREADS"));
  const std::string taken = address("a");
  const Outcome again = run(command(taken), 15'000);
  EXPECT_EQ(again.status, 1) << again.err;
  EXPECT_THAT(again.err, HasSubstr("UDP port " + taken + " is taken: a node of yours (process " +
                                   std::to_string(node.pid()) + ") runs there already"));
}

TEST_F(OwnerTest, WithAHomeThatCannotBeWrittenIsStillHeard) {
  std::filesystem::create_directory(folder_.file("run"));
  write_file(folder_.file("full"), "");
  const auto at_home = [&](std::vector<std::string> command) {
    command.insert(command.begin(),
                   {"/usr/bin/env", "XDG_RUNTIME_DIR=" + folder_.file("run"),
                    "XDG_STATE_HOME=" + folder_.file("full/state"), program("shoal-node")});
    return command;
  };
  Process node(at_home({"run", "--model", kDemoModel, "--listen", "127.0.0.1:0", "--threads", "1",
                        "--new-swarm", "--ready-file", ready("a")}));
  ASSERT_TRUE(wait_for_file(ready("a"), node, 15'000)) << node.err();
  EXPECT_THAT(node.err(), HasSubstr("using a new identity for this run only"));
  const Outcome found = run(at_home({"status"}), 10'000);
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_THAT(found.out, HasSubstr("of this run only"));
  EXPECT_EQ(run(at_home({"pause"}), 10'000).status, 0);
  // Somebody else may have made it.
  std::filesystem::permissions(folder_.file("run/shoal"), std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(run(at_home({"status"}), 10'000).status, 1);
}

TEST_F(OwnerTest, WhatIsTypedWrongIsSaid) {
  const std::string node = program("shoal-node");
  EXPECT_EQ(run({node, "pause", "--for", "soon"}, 5'000).status, 2);
  EXPECT_EQ(run({node, "run", "--model", kDemoModel, "--new-swarm", "--hours", "22"}, 5'000).status,
            2);
  EXPECT_EQ(run({node, "run", "--model", kDemoModel, "--new-swarm", "--free-paused"}, 5'000).status,
            2);
}

}  // namespace
}  // namespace shoal::tests
