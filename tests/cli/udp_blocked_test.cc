// SPDX-License-Identifier: Apache-2.0
// Machines whose network lets no UDP pass: real programs in network namespaces of the test's own,
// a node and a user without a datagram, and a bootstrap node between them. Needs root and nft(8).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/process_swarm.h"
#include "tests/support/network_namespace.h"

namespace shoal::tests {
namespace {

using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr int kTimeoutMs = 30'000;

// A machine behind `hub`, which forwards: 10.9.NUMBER.2.
class Site {
 public:
  Site(NetworkNamespace& hub, int number) {
    const std::string name = "site" + std::to_string(number);
    const std::string network = "10.9." + std::to_string(number) + ".";
    net.connect("eth0", hub, name);
    net.ip("addr add " + network + "2/24 dev eth0");
    hub.ip("addr add " + network + "1/24 dev " + name);
    net.ip("route add default via " + network + "1");
  }
  void block_udp() const { nft("add rule inet filter out meta l4proto udp drop"); }
  void nft(const std::string& rule) const {
    for (const std::string& line :
         {std::string("add table inet filter"),
          std::string("add chain inet filter out { type filter hook output priority 0 ; }"),
          rule}) {
      const Outcome outcome = run(net.inside({"nft", line}), kTimeoutMs);
      ASSERT_EQ(outcome.status, 0) << line << outcome.err;
    }
  }
  std::uint64_t datagrams_sent() const {
    const Outcome outcome = run(net.inside({"cat", "/proc/net/snmp"}), kTimeoutMs);
    std::istringstream lines(outcome.out);
    std::string line, last;
    while (std::getline(lines, line)) {
      if (line.starts_with("Udp: ")) last = line;
    }
    std::istringstream words(last);
    std::string word;
    for (int i = 0; i < 5; ++i) words >> word;  // Udp: In NoPorts InErrors Out
    return word.empty() ? 0 : std::stoull(word);
  }

  NetworkNamespace net;
};

class UdpBlocked : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = NetworkNamespace::unavailable(); !why.empty()) GTEST_SKIP() << why;
    if (run({"nft", "--version"}, kTimeoutMs).status != 0) GTEST_SKIP() << "needs nft(8)";
    hub_ = std::make_unique<NetworkNamespace>();
    hub_->set("ipv4/ip_forward", "1");
    node_ = std::make_unique<Site>(*hub_, 1);
    user_ = std::make_unique<Site>(*hub_, 2);
    start(*hub_, "boot", {"bootstrap", "--listen", "10.9.1.1:7000"});
  }

  void start(const NetworkNamespace& where, const std::string& name,
             std::vector<std::string> arguments) {
    const std::string ready = folder_.file(name + ".json");
    std::vector<std::string> command = {program("shoal-node")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.insert(command.end(),
                   {"--identity", folder_.file(name + ".key"), "--ready-file", ready});
    programs_.push_back(std::make_unique<Process>(where.inside(command)));
    ASSERT_TRUE(wait_for_file(ready, *programs_.back(), kTimeoutMs)) << programs_.back()->err();
  }
  void start_node(const std::string& blocks, const std::string& port,
                  std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {
        "run",           "--model",  kDemoModel,       "--blocks", blocks,
        "--threads",     "1",        "--kv-positions", "512",      "--join",
        "10.9.1.1:7000", "--listen", "0.0.0.0:" + port};
    arguments.insert(arguments.end(), more.begin(), more.end());
    start(node_->net, "node" + port, arguments);
  }
  void expect_golden(std::vector<std::string> more = {}) {
    const nlohmann::json prompt = golden().at("prompts").at(0);
    std::vector<std::string> command = {
        program("shoal"), "generate",
        "--model",        kDemoModel,
        "--join",         "10.9.1.1:7000",
        "--json",         "--greedy",
        "--max-tokens",   std::to_string(prompt.at("greedy_ids").size())};
    command.insert(command.end(), more.begin(), more.end());
    command.push_back(prompt.at("prompt").get<std::string>());
    const Outcome outcome = run(user_->net.inside(command), kTimeoutMs);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(nlohmann::json::parse(outcome.out).at("ids"), prompt.at("greedy_ids"));
  }

  TempDir folder_;
  std::unique_ptr<NetworkNamespace> hub_;
  std::unique_ptr<Site> node_, user_;
  std::vector<std::unique_ptr<Process>> programs_;  // before their networks
};

TEST_F(UdpBlocked, ANodeAndAUserFindEachOtherOverTcp) {
  node_->block_udp();
  user_->block_udp();
  start_node("0:4", "7001");
  start_node("4:8", "7002");
  EXPECT_THAT(programs_.back()->err(), HasSubstr("the directory is asked over TCP"));
  expect_golden();
}

// A network that drops what comes back, and lets out what asks.
TEST_F(UdpBlocked, AnswersThatAreLostAreSilenceToo) {
  for (const Site* site : {node_.get(), user_.get()}) {
    run(site->net.inside({"nft", "add table inet filter"}), kTimeoutMs);
    run(site->net.inside(
            {"nft", "add chain inet filter in { type filter hook input priority 0 ; }"}),
        kTimeoutMs);
    ASSERT_EQ(
        run(site->net.inside({"nft", "add rule inet filter in meta l4proto udp drop"}), kTimeoutMs)
            .status,
        0);
  }
  start_node("0:8", "7001");
  expect_golden();
}

TEST_F(UdpBlocked, WithUdpOffNoDatagramLeaves) {
  start_node("0:8", "7001", {"--udp", "off"});
  expect_golden({"--udp", "off"});
  EXPECT_EQ(node_->datagrams_sent(), 0u);
  EXPECT_EQ(user_->datagrams_sent(), 0u);
}

}  // namespace
}  // namespace shoal::tests
