// SPDX-License-Identifier: Apache-2.0
// What a user who does something wrong gets: one clear line on stderr that names the thing and the
// way out, a non-zero status within 15 s, and nothing left behind.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Matcher;

constexpr int kErrorTimeoutMs = 20'000;  // to tell "too late" from "never"

void expect_one_clear_line(const Outcome& outcome, const Matcher<std::string>& text) {
  EXPECT_GT(outcome.status, 0) << outcome.err;
  EXPECT_LT(outcome.status, 126) << "ended by a signal or not started: " << outcome.err;
  EXPECT_LT(outcome.seconds, 15.0);
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_THAT(outcome.err, text);
  EXPECT_THAT(outcome.out, IsEmpty());
}

std::vector<std::string> node_command(std::vector<std::string> arguments) {
  std::vector<std::string> command = {program("shoal-node"), "run", "--listen", "127.0.0.1:0"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

std::vector<std::string> shoal_command(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), program("shoal"));
  return arguments;
}

// Two sockets, TCP and UDP, on one port that nobody else has; open while the object lives.
class TakenPort {
 public:
  explicit TakenPort(int type) : socket_(::socket(AF_INET, type, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(listen(socket_, 1), 0);
    }
    socklen_t size = sizeof(address);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~TakenPort() { close(socket_); }
  const std::string& address() const { return address_; }

 private:
  int socket_;
  std::string address_;
};

TEST(NodeErrors, NeitherJoinNorNewSwarm) {
  TempDir folder;
  const auto outcome = run(
      node_command({"--model", kDemoModel, "--ready-file", folder.file("ready")}), kErrorTimeoutMs);
  expect_one_clear_line(outcome, AllOf(HasSubstr("--join"), HasSubstr("--new-swarm")));
  EXPECT_FALSE(std::filesystem::exists(folder.file("ready")));
}

TEST(NodeErrors, MissingModelFolder) {
  expect_one_clear_line(
      run(node_command({"--new-swarm", "--model", "/nowhere/model"}), kErrorTimeoutMs),
      HasSubstr("/nowhere/model"));
}

TEST(NodeErrors, TruncatedWeights) {
  TempDir folder;
  copy_model(kDemoModel, folder.file("model"));
  const std::string weights = folder.file("model/model.safetensors");
  const std::string whole = read_file(weights);
  std::filesystem::remove(weights);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{5}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    write_file(weights, whole.substr(0, size));
    expect_one_clear_line(
        run(node_command({"--new-swarm", "--model", folder.file("model")}), kErrorTimeoutMs),
        HasSubstr("model.safetensors"));
  }
}

std::string safetensors(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t size = header.size();
  std::string file(8, '\0');
  std::memcpy(file.data(), &size, 8);
  return file + header + std::string(data_bytes, '\0');
}

TEST(NodeErrors, MaliciousWeights) {
  TempDir folder;
  copy_model(kDemoModel, folder.file("model"));
  const std::string weights = folder.file("model/model.safetensors");
  std::filesystem::remove(weights);
  const std::vector<std::string> files = {
      std::string(8, '\xff') + "{}",              // header of 2^64-1 bytes
      safetensors(std::string(100'000, '['), 0),  // deep nesting
      safetensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,99999999]}})",
                  16),  // beyond the file
      safetensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", 16),  // backwards
      safetensors(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}})",
                  16),                                                                 // overflow
      safetensors(R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})", 16),  // negative
      safetensors(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                  R"("b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}})",
                  24),               // overlapping
      safetensors(R"([1,2,3])", 0),  // not an object
  };
  for (const std::string& file : files) {
    write_file(weights, file);
    expect_one_clear_line(
        run(node_command({"--new-swarm", "--model", folder.file("model")}), kErrorTimeoutMs),
        HasSubstr("model.safetensors"));
  }
}

TEST(NodeErrors, PortInUse) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    TakenPort taken(type);
    const auto outcome = run({program("shoal-node"), "run", "--model", kDemoModel, "--new-swarm",
                              "--listen", taken.address()},
                             kErrorTimeoutMs);
    expect_one_clear_line(outcome, AllOf(HasSubstr(taken.address()),
                                         HasSubstr("by another program"), HasSubstr("--listen")));
  }
}

TEST(NodeErrors, BlocksOutsideTheModel) {
  for (const std::string blocks : {"4:9", "3:3", "x", "5:2"}) {
    expect_one_clear_line(
        run(node_command({"--new-swarm", "--model", kDemoModel, "--blocks", blocks}),
            kErrorTimeoutMs),
        HasSubstr(blocks));
  }
}

TEST(NodeErrors, MoreAddressesThanARecordHolds) {
  std::vector<std::string> arguments = {"--new-swarm", "--model", kDemoModel};
  for (const char* last : {"1", "2", "3", "4", "5"}) {
    arguments.insert(arguments.end(), {"--announce", std::string("192.0.2.") + last + ":7000"});
  }
  const Outcome outcome = run(node_command(arguments), kErrorTimeoutMs);
  expect_one_clear_line(outcome, HasSubstr("at most 4"));
  EXPECT_EQ(outcome.status, 2) << outcome.err;
}

TEST(NodeErrors, AddressThatDoesNotAnswer) {
  TakenPort silent(SOCK_DGRAM);
  expect_one_clear_line(
      run(node_command({"--model", kDemoModel, "--join", silent.address(), "--join-timeout", "4"}),
          kErrorTimeoutMs),
      HasSubstr(silent.address()));
}

TEST(NodeErrors, WrongSwarmKey) {
  ProcessSwarm swarm({.with_key = true});
  swarm.start_node("0:8");
  const std::string other = swarm.folder().file("other.key");
  ASSERT_EQ(run({program("shoal"), "swarm", "new", other}, kErrorTimeoutMs).status, 0);
  // Not the user's own, which may know members of other swarms.
  const std::string identity = swarm.folder().file("stranger.key");
  const auto with_other =
      run(node_command({"--model", kDemoModel, "--join", swarm.address(0), "--identity", identity,
                        "--swarm-key", other, "--join-timeout", "4"}),
          kErrorTimeoutMs);
  expect_one_clear_line(with_other, AllOf(HasSubstr(swarm.address(0)), HasSubstr("swarm key")));
  const auto without = run(node_command({"--model", kDemoModel, "--join", swarm.address(0),
                                         "--identity", identity, "--join-timeout", "4"}),
                           kErrorTimeoutMs);
  expect_one_clear_line(without, AllOf(HasSubstr(swarm.address(0)), HasSubstr("swarm key")));
}

TEST(NodeErrors, SwarmKeyFileIsMissingOrNoKey) {
  TempDir folder;
  expect_one_clear_line(
      run(node_command({"--model", kDemoModel, "--new-swarm", "--swarm-key", folder.file("none")}),
          kErrorTimeoutMs),
      HasSubstr(folder.file("none")));
  write_file(folder.file("bad"), "hello\n");
  std::filesystem::permissions(folder.file("bad"), std::filesystem::perms::owner_read);
  expect_one_clear_line(
      run(node_command({"--model", kDemoModel, "--new-swarm", "--swarm-key", folder.file("bad")}),
          kErrorTimeoutMs),
      HasSubstr(folder.file("bad")));
}

TEST(NodeErrors, ModelDiffersFromTheSwarms) {
  ProcessSwarm swarm;
  swarm.start_node("0:8");
  TempDir folder;
  copy_model(kDemoModel, folder.file("model"));
  const std::string weights = folder.file("model/model.safetensors");
  std::string changed = read_file(weights);
  changed[changed.size() - 10] ^= 1;
  std::filesystem::remove(weights);
  write_file(weights, changed);
  const auto outcome = run(
      node_command({"--model", folder.file("model"), "--join", swarm.address(0)}), kErrorTimeoutMs);
  expect_one_clear_line(outcome, HasSubstr("model"));
  const auto client = run(shoal_command({"generate", "--model", folder.file("model"), "--join",
                                         swarm.address(0), "Once upon a time"}),
                          kErrorTimeoutMs);
  expect_one_clear_line(client, HasSubstr("model"));
}

TEST(ClientErrors, TokenizerWithUnknownParts) {
  TempDir folder;
  copy_model(kDemoModel, folder.file("model"));
  const std::string path = folder.file("model/tokenizer.json");
  auto tokenizer = nlohmann::json::parse(read_file(path));
  tokenizer["pre_tokenizer"] = {{"type", "Telepathy"}};
  write_file(path, tokenizer.dump());
  expect_one_clear_line(
      run(shoal_command({"generate", "--local", "--model", folder.file("model"), "Once"}),
          kErrorTimeoutMs),
      AllOf(HasSubstr("tokenizer.json"), HasSubstr("Telepathy")));
}

TEST(ClientErrors, MissingAndBrokenModels) {
  expect_one_clear_line(
      run(shoal_command({"generate", "--local", "--model", "/nowhere/model", "Once"}),
          kErrorTimeoutMs),
      HasSubstr("/nowhere/model"));
  TempDir folder;
  copy_model(kDemoModel, folder.file("model"));
  const std::string path = folder.file("model/config.json");
  auto config = nlohmann::json::parse(read_file(path));
  config["architectures"] = {"MixtralForCausalLM"};
  config["model_type"] = "mixtral";
  write_file(path, config.dump());
  expect_one_clear_line(
      run(shoal_command({"generate", "--local", "--model", folder.file("model"), "Once"}),
          kErrorTimeoutMs),
      HasSubstr("MixtralForCausalLM"));
}

TEST(ClientErrors, AddressThatDoesNotAnswer) {
  TakenPort silent(SOCK_DGRAM);
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"generate", "--model", kDemoModel, "--join", silent.address(), "Once"}, silent.address()},
      {{"status", "--join", silent.address()}, silent.address()},
      {{"generate", "--model", kDemoModel, "--join", "no colon", "Once"}, "no colon"}};
  std::vector<std::vector<std::string>> commands;
  for (const auto& one : cases) commands.push_back(shoal_command(one.first));
  const auto outcomes = run_together(commands, kErrorTimeoutMs);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    expect_one_clear_line(outcomes[i], HasSubstr(cases[i].second));
  }
}

TEST(ClientErrors, NeitherJoinNorLocal) {
  expect_one_clear_line(
      run(shoal_command({"generate", "--model", kDemoModel, "Once"}), kErrorTimeoutMs),
      AllOf(HasSubstr("--join"), HasSubstr("--local")));
}

TEST(ClientErrors, WrongSwarmKey) {
  ProcessSwarm swarm({.with_key = true});
  swarm.start_node("0:8");
  const std::string other = swarm.folder().file("other.key");
  ASSERT_EQ(run({program("shoal"), "swarm", "new", other}, kErrorTimeoutMs).status, 0);
  expect_one_clear_line(run(shoal_command({"generate", "--model", kDemoModel, "--join",
                                           swarm.address(0), "--swarm-key", other, "Once"}),
                            kErrorTimeoutMs),
                        HasSubstr("swarm key"));
}

TEST(ClientErrors, NoServerForBlockFive) {
  ProcessSwarm swarm;
  swarm.start_node("0:5");
  swarm.start_node("6:8");
  expect_one_clear_line(swarm.shoal("generate", {"Once", "--wait", "0"}), HasSubstr("block 5"));
}

TEST(ClientErrors, PromptLongerThanTheContext) {
  std::string prompt;
  for (int i = 0; i < 2000; ++i) prompt += "once ";
  expect_one_clear_line(run(shoal_command({"generate", "--local", "--model", kDemoModel, "-"}),
                            kErrorTimeoutMs, prompt),
                        AllOf(HasSubstr("1024"), HasSubstr("prompt")));
}

TEST(ClientErrors, PromptThatIsNoText) {
  expect_one_clear_line(run(shoal_command({"generate", "--local", "--model", kDemoModel, "-"}),
                            kErrorTimeoutMs, "once \xff\xfe upon"),
                        HasSubstr("UTF-8"));
}

TEST(ClientErrors, SamplingOptionsOutOfRange) {
  const std::vector<std::pair<std::string, std::string>> options = {
      {"--temperature", "-1"}, {"--temperature", "nan"},
      {"--top-p", "0"},        {"--top-p", "1.5"},
      {"--top-k", "-1"},       {"--min-p", "2"},
      {"--max-tokens", "0"},   {"--max-tokens", "-3"},
      {"--seed", "-1"},        {"--repetition-penalty", "0"},
      {"--top-k", "banana"},   {"--temperature", "inf"}};
  for (const auto& [option, value] : options) {
    expect_one_clear_line(run(shoal_command({"generate", "--local", "--model", kDemoModel,
                                             option + "=" + value, "Once"}),
                              kErrorTimeoutMs),
                          HasSubstr(option.substr(2)));
  }
}

TEST(ClientErrors, ScoreOfAMissingOrEmptyFile) {
  TempDir folder;
  expect_one_clear_line(
      run(shoal_command({"score", "--local", "--model", kDemoModel, folder.file("none.txt")}),
          kErrorTimeoutMs),
      HasSubstr("none.txt"));
  write_file(folder.file("empty.txt"), "");
  expect_one_clear_line(
      run(shoal_command({"score", "--local", "--model", kDemoModel, folder.file("empty.txt")}),
          kErrorTimeoutMs),
      HasSubstr("empty.txt"));
}

TEST(ClientErrors, SwarmKeyIsNeverOverwritten) {
  TempDir folder;
  ASSERT_EQ(run(shoal_command({"swarm", "new", folder.file("key")}), kErrorTimeoutMs).status, 0);
  const std::string before = read_file(folder.file("key"));
  expect_one_clear_line(run(shoal_command({"swarm", "new", folder.file("key")}), kErrorTimeoutMs),
                        HasSubstr(folder.file("key")));
  EXPECT_EQ(read_file(folder.file("key")), before);
}

}  // namespace
}  // namespace shoal::tests
