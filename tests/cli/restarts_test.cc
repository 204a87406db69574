// SPDX-License-Identifier: Apache-2.0
// The same command, again and again: killed, told to read its configuration again, handed over to a
// successor, on a disk that is full or may not be written. The node is back as the same, or says
// why not in one line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tests/cli/machines.h"
#include "tests/client/serve/http_client.h"
#include "tests/support/terminal.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Restarts : public Machines {
 protected:
  // In a mount namespace of its own, with the test's folder as DISK does it; "" when that cannot be
  // had here.
  std::vector<std::string> on_disk(const std::string& disk, std::vector<std::string> command) {
    std::vector<std::string> all = {"unshare",   "--mount", "--propagation",        "private",
                                    "/bin/bash", "-ec",     disk + "; exec \"$@\"", "bash"};
    all.insert(all.end(), command.begin(), command.end());
    return all;
  }
  static bool may_mount() {
    return run({"unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "none",
                "/mnt"},
               5'000)
               .status == 0;
  }
  // With a key, before its disk is full or may not be written.
  std::string made_key(const std::string& name) {
    Process process(node(name, {"--new-swarm"}));
    const std::string peer = ready(name, process).value("peer_id", "");
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(10'000), 0) << process.err();
    return peer;
  }
};

TEST_F(Restarts, AFirstNodeFindsItsSwarmAgainWithTheSameCommand) {
  const std::string address = free_address();
  const std::vector<std::string> first = node("a", {"--new-swarm", "--blocks", "0:4"}, address);
  Process begins(first);
  const std::string peer = ready("a", begins).value("peer_id", "");
  Process other(node("b", {"--join", address, "--blocks", "4:8"}));
  const std::string other_at = ready("b", other).value("address", "");
  begins.signal(SIGTERM);
  ASSERT_EQ(begins.wait(10'000), 0) << begins.err();
  for (int i = 0; i < 3; ++i) {
    Process again(first);
    EXPECT_EQ(ready("a", again).value("peer_id", ""), peer);
    EXPECT_THAT(again.err(), HasSubstr("is in the swarm again that it was in"));
    const Outcome status = run({program("shoal"), "status", "--check", "--join", other_at}, 20'000);
    EXPECT_EQ(status.status, 0) << status.out << status.err;
    again.signal(SIGKILL);
    again.wait(5'000);
    std::filesystem::remove(folder_.file("a.json"));
  }
  // With another model, it is told how to begin anew instead.
  const std::string changed = folder_.file("changed-model");
  copy_model(model_, changed);
  auto config = nlohmann::json::parse(read_file(changed + "/config.json"));
  config["rope_theta"] = 20'000.0;
  write_file(changed + "/config.json", config.dump());
  std::vector<std::string> with_changed = first;
  *std::find(with_changed.begin(), with_changed.end(), model_) = changed;
  with_changed.insert(with_changed.end(), {"--log-level", "error"});
  const Outcome refused = run(with_changed, 20'000);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("remove " + folder_.file("a.contacts")));
  // And nobody of it may be left.
  other.signal(SIGKILL);
  other.wait(5'000);
  Process alone(first);
  ready("a", alone);
  EXPECT_THAT(alone.err(), HasSubstr("nobody of it answers: begins alone"));
}

// The machine that --join names is gone for good, and its unit still names it. Whoever names
// another one means another swarm.
TEST_F(Restarts, ANodeWhoseJoinLeadsNowhereComesBackAndSaysSo) {
  const std::string former = free_address(), other = free_address(), nowhere = free_address();
  Process a(node("a", {"--new-swarm", "--blocks", "0:4"}, former));
  ready("a", a);
  Process stays(node("d", {"--join", former, "--blocks", "0:4"}));
  const std::string stays_at = ready("d", stays).value("address", "");
  const auto joins = [&](const std::string& address) {
    std::filesystem::remove(folder_.file("b.json"));
    return node("b", {"--join", address, "--blocks", "4:8"});
  };
  {
    Process b(joins(former));
    ready("b", b);
    EXPECT_THAT(b.err(), Not(HasSubstr("nobody answers at")));
    b.signal(SIGTERM);  // it writes whom it met
    EXPECT_EQ(b.wait(10'000), 0) << b.err();
  }
  a.signal(SIGKILL);
  a.wait(5'000);
  {
    Process b(joins(former));
    const std::string at = ready("b", b).value("address", "");
    EXPECT_THAT(b.err(),
                HasSubstr("nobody answers at " + former + ": this node is in the swarm again"));
    EXPECT_THAT(b.err(), HasSubstr(folder_.file("b-")));
    EXPECT_THAT(b.err(), Not(HasSubstr("UDP does not pass")));
    EXPECT_EQ(run({program("shoal"), "status", "--check", "--join", at}, 20'000).status, 0);
    b.signal(SIGTERM);
    EXPECT_EQ(b.wait(10'000), 0) << b.err();
  }
  {
    Process b(joins(nowhere));
    EXPECT_TRUE(eventually(
        10'000, [&] { return b.err().find("no answer from " + nowhere) != std::string::npos; }));
    EXPECT_THAT(b.err(), Not(HasSubstr("this node is in the swarm again")));
    EXPECT_FALSE(online("b"));
  }
  // One that answers is meant, also where it is another swarm, of which the former learns nothing.
  Process c(node("c", {"--new-swarm", "--blocks", "0:4"}, other));
  ready("c", c);
  Process b(joins(other));
  const std::string at = ready("b", b).value("address", "");
  EXPECT_THAT(b.err(), Not(HasSubstr("nobody answers at")));
  EXPECT_EQ(run({program("shoal"), "status", "--check", "--join", at}, 20'000).status, 0);
  EXPECT_EQ(run({program("shoal"), "status", "--check", "--join", stays_at}, 20'000).status, 1);
  stays.signal(SIGKILL);
  stays.wait(5'000);
  EXPECT_EQ(run({program("shoal"), "status", "--check", "--join", other}, 20'000).status, 0);
}

TEST_F(Restarts, ASuccessorTakesOverAndSessionsFinish) {
  const std::string address = free_address();
  Process old(node("a", {"--new-swarm"}, address));
  const std::string peer = ready("a", old).value("peer_id", "");
  const auto prompt = golden().at("prompts").at(0);
  const std::vector<std::string> generate = {program("shoal"), "generate", "--model", kDemoModel,
                                             "--join",         address,    "--greedy"};
  std::vector<std::string> long_text = generate;
  long_text.insert(long_text.end(), {"--max-tokens", "900", "--ignore-eos", "Once upon a time"});
  const Outcome expected =
      run({program("shoal"), "generate", "--model", kDemoModel, "--local", "--greedy",
           "--max-tokens", "900", "--ignore-eos", "Once upon a time"},
          60'000);
  ASSERT_EQ(expected.status, 0) << expected.err;
  Process client(long_text);
  ASSERT_TRUE(eventually(20'000, [&] { return client.out().size() > 40; })) << client.err();
  ASSERT_TRUE(client.running());
  client.signal(SIGSTOP);  // in the middle of its text
  Process successor(node("a", {"--new-swarm", "--take-over"}, address));
  // The old one is asked, and takes away its ready file; the new one writes its own.
  ASSERT_TRUE(eventually(20'000, [&] {
    return read_file(folder_.file("a.json")).find(std::to_string(successor.pid())) !=
           std::string::npos;
  })) << successor.err();
  EXPECT_EQ(ready("a", successor).value("peer_id", ""), peer);
  EXPECT_EQ(ready("a", successor).value("address", ""), address);
  EXPECT_TRUE(old.running()) << old.err();
  client.signal(SIGCONT);
  EXPECT_EQ(client.wait(60'000), 0) << client.err();
  EXPECT_EQ(client.out(), expected.out);
  EXPECT_EQ(old.wait(20'000), 0) << old.err();
  EXPECT_THAT(old.err(), HasSubstr("hands over to its successor"));
  EXPECT_TRUE(successor.running());
  const Outcome text = run(generate, 20'000, prompt.at("prompt").get<std::string>());
  EXPECT_EQ(text.status, 0) << text.err;
  // Nobody to take over from: as any start.
  successor.signal(SIGTERM);
  ASSERT_EQ(successor.wait(20'000), 0) << successor.err();
  Process alone(node("a", {"--new-swarm", "--take-over"}, address));
  EXPECT_EQ(ready("a", alone).value("peer_id", ""), peer);
}

// Nobody's node is ended for another's sake.
TEST_F(Restarts, WhosePlaceIsTakenMustBeClear) {
  const auto nameless = [&](const std::string& name, std::vector<std::string> arguments) {
    std::vector<std::string> command = node(name, std::move(arguments));
    const auto identity = std::ranges::find(command, "--identity");
    command.erase(identity, identity + 2);
    command.insert(command.begin(), {"env", "XDG_STATE_HOME=" + folder_.file("state")});
    return command;
  };
  Process one(nameless("a", {"--new-swarm", "--blocks", "0:4"}));
  const std::string address = ready("a", one).value("address", "");
  Process two(nameless("b", {"--join", address, "--blocks", "4:8"}));
  ASSERT_NE(ready("b", two).value("address", ""), "");
  const Outcome third = run(nameless("c", {"--join", address, "--take-over"}), 20'000);
  EXPECT_NE(third.status, 0);
  EXPECT_THAT(third.err, HasSubstr("2 nodes of this user run here"));
  EXPECT_THAT(third.err, HasSubstr("--identity FILE"));
  EXPECT_TRUE(one.running() && two.running());
  // Of the one that is left it is clear, whatever its number.
  const std::string left = ready("b", two).value("peer_id", "");
  one.signal(SIGKILL);
  one.wait(10'000);
  Process successor(nameless("c", {"--new-swarm", "--take-over"}));
  EXPECT_EQ(ready("c", successor).value("peer_id", ""), left);
  EXPECT_EQ(two.wait(20'000), 0) << two.err();
}

TEST_F(Restarts, AClientThatIsConnectedFindsTheSuccessorWhileTheOldOneDrains) {
  const std::string address = free_address();
  Process old(node("a", {"--new-swarm"}, address));
  ready("a", old);
  Process serve({program("shoal"), "serve", "--model", kDemoModel, "--join", address, "--listen",
                 "127.0.0.1:0"});
  const std::string before = "http://127.0.0.1:";
  ASSERT_TRUE(eventually(20'000, [&] { return serve.out().find("/v1\n") != std::string::npos; }))
      << serve.err();
  const auto port = static_cast<std::uint16_t>(
      std::stoi(serve.out().substr(serve.out().find(before) + before.size())));
  const auto prompt = golden().at("prompts").at(0);
  const auto ask = [&] {
    HttpClient client(port);
    const std::string body = nlohmann::json{
        {"prompt", prompt.at("prompt")},
        {"max_tokens", prompt.at("greedy_ids").size()},
        {"temperature", 0}}.dump();
    client.send(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    EXPECT_TRUE(client.receive_end(20'000)) << serve.err();
    return client.received;
  };
  const std::string first = ask();
  EXPECT_THAT(first, HasSubstr(" 200 "));
  // Somebody else's session keeps the old one busy.
  Process client({program("shoal"), "generate", "--model", kDemoModel, "--join", address,
                  "--greedy", "--max-tokens", "900", "--ignore-eos", "Once upon a time"});
  ASSERT_TRUE(eventually(20'000, [&] { return client.out().size() > 40; })) << client.err();
  client.signal(SIGSTOP);
  Process successor(node("a", {"--new-swarm", "--take-over"}, address));
  ASSERT_TRUE(eventually(20'000, [&] {
    return read_file(folder_.file("a.json")).find(std::to_string(successor.pid())) !=
           std::string::npos;
  })) << successor.err();
  EXPECT_TRUE(old.running()) << old.err();
  const auto text = [](const std::string& answer) {
    return nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n") + 4), nullptr, false)
        .value("choices", nlohmann::json::array());
  };
  const std::string second = ask();
  EXPECT_THAT(second, HasSubstr(" 200 "));
  EXPECT_EQ(text(second), text(first));
  EXPECT_TRUE(old.running()) << old.err();
  client.signal(SIGCONT);
  EXPECT_EQ(client.wait(60'000), 0) << client.err();
  EXPECT_EQ(old.wait(20'000), 0) << old.err();
}

TEST_F(Restarts, TheConfigurationIsReadAgainWhileItRuns) {
  const std::string file = folder_.file("c.toml");
  const std::string same =
      "model = \"" + model_ + "\"\nlisten = \"127.0.0.1:0\"\nnew-swarm = true\nidentity = \"" +
      folder_.file("c.key") + "\"\nready-file = \"" + folder_.file("c.json") + "\"\n";
  write_file(file, same + "threads = 1\nlog-level = \"info\"\n");
  Process process({program("shoal-node"), "run", "--config", file});
  ready("c", process);
  write_file(file, same + "threads = 2\nlog-level = \"debug\"\nmax-sessions = 3\nnice = 1\n");
  process.signal(SIGHUP);
  EXPECT_TRUE(eventually(5'000, [&] {
    return process.err().find(
               "read again; changed now: log-level, max-sessions, nice; at the next start: "
               "threads") != std::string::npos;
  })) << process.err();
  write_file(file, same + "threads = 0\n");
  process.signal(SIGHUP);
  EXPECT_TRUE(eventually(5'000, [&] {
    return process.err().find("the configuration stays as it was: " + file + ", line 6") !=
           std::string::npos;
  })) << process.err();
  EXPECT_TRUE(process.running());
  const std::string stat = read_file("/proc/" + std::to_string(process.pid()) + "/stat");
  // The 19th field; the second is a name in brackets.
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string field;
  for (int i = 3; i <= 19; ++i) fields >> field;
  EXPECT_EQ(field, "1");
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(10'000), 0) << process.err();
}

TEST_F(Restarts, UnderNohupItServesOnWhenTheTerminalCloses) {
  Terminal kept(after("trap '' HUP", node("a", {"--new-swarm"})));
  ASSERT_TRUE(eventually(15'000, [&] { return online("a"); }));
  EXPECT_EQ(kept.hang_up(1'000), -1) << "it ended with its terminal";
  const std::string address =
      nlohmann::json::parse(read_file(folder_.file("a.json")), nullptr, false).value("address", "");
  EXPECT_EQ(run({program("shoal"), "status", "--check", "--join", address}, 20'000).status, 0);
}

// One line says what is damaged and what becomes of it, and the node is the same.
TEST_F(Restarts, DamagedFilesBesideTheKeyCostOneLineEach) {
  const std::string peer = made_key("a");
  for (const char* file : {"a.account", "a.contacts"}) {
    write_file(folder_.file(file), std::string(200, '\x7f'));
    Process again(node("a", {"--new-swarm"}));
    EXPECT_EQ(ready("a", again).value("peer_id", ""), peer) << again.err();
    EXPECT_THAT(again.err(), HasSubstr(folder_.file(file)));
    again.signal(SIGTERM);
    EXPECT_EQ(again.wait(10'000), 0) << again.err();
  }
  write_file(folder_.file("a.key"), "damaged\n");
  const Outcome refused = run(node("a", {"--new-swarm", "--log-level", "warn"}), 20'000);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr(folder_.file("a.key") + " is not an identity file"));
  EXPECT_EQ(std::count(refused.err.begin(), refused.err.end(), '\n'), 1) << refused.err;
}

TEST_F(Restarts, AFullDiskCostsOneLineOrNothing) {
  if (!may_mount()) GTEST_SKIP() << "needs root, to mount a small disk";
  const std::string peer = made_key("a");
  const std::string full = folder_.file("full");
  std::filesystem::create_directory(full);
  const std::string disk = "mount -t tmpfs -o size=16k none " + full + "; cp -p " +
                           folder_.file("a.key") + " " + full + "; head -c 1M /dev/zero >" + full +
                           "/fill 2>/dev/null || true";
  const auto with_key = [&](const std::string& name) {
    return std::vector<std::string>{program("shoal-node"),
                                    "run",
                                    "--model",
                                    model_,
                                    "--listen",
                                    "127.0.0.1:0",
                                    "--threads",
                                    "1",
                                    "--new-swarm",
                                    "--identity",
                                    full + "/" + name,
                                    "--ready-file",
                                    folder_.file("f.json")};
  };
  Process known(on_disk(disk, with_key("a.key")));
  EXPECT_EQ(ready("f", known).value("peer_id", ""), peer) << known.err();
  known.signal(SIGTERM);
  EXPECT_EQ(known.wait(10'000), 0) << known.err();
  const Outcome fresh = run(on_disk(disk, with_key("new.key")), 20'000);
  EXPECT_EQ(fresh.status, 1);
  EXPECT_THAT(fresh.err, HasSubstr(full + "/new.key: No space left on device"));
  EXPECT_EQ(std::count(fresh.err.begin(), fresh.err.end(), '\n'), 1) << fresh.err;
}

TEST_F(Restarts, AHomeThatMayOnlyBeReadHasTheSameNode) {
  if (!may_mount()) GTEST_SKIP() << "needs root, to mount a folder for reading only";
  const std::string state = folder_.file("state");
  const std::vector<std::string> command = {
      program("shoal-node"), "run",       "--model", model_,        "--listen",
      "127.0.0.1:0",         "--threads", "1",       "--new-swarm", "--ready-file",
      folder_.file("r.json")};
  const std::string home = "export XDG_STATE_HOME=" + state;
  std::string peer;
  {
    Process made(after(home, command));
    peer = ready("r", made).value("peer_id", "");
    made.signal(SIGTERM);
    ASSERT_EQ(made.wait(10'000), 0) << made.err();
  }
  Process again(on_disk(
      home + "; mount --bind " + state + " " + state + "; mount -o remount,ro,bind " + state,
      command));
  EXPECT_EQ(ready("r", again).value("peer_id", ""), peer) << again.err();
  EXPECT_THAT(again.err(), Not(HasSubstr("new identity")));
  again.signal(SIGTERM);
  EXPECT_EQ(again.wait(10'000), 0) << again.err();
}

}  // namespace
}  // namespace shoal::tests
