// SPDX-License-Identifier: Apache-2.0
// Nodes and users on machines with several addresses, of both families, that come and go: real
// programs in network namespaces of the tests' own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "tests/cli/process_swarm.h"
#include "tests/support/network_namespace.h"

namespace shoal::tests {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr int kTimeoutMs = 30'000;

template <typename Done>
bool within(seconds limit, Done done) {
  const auto end = Clock::now() + limit;
  while (!done()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return true;
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':')); }

// A machine: a network of its own, and the programs that run on it.
class Machine {
 public:
  NetworkNamespace net;

  // "" is a bootstrap node, else blocks "B:E". Waits until it is online; its address as announced.
  std::string start(const std::string& blocks, std::vector<std::string> arguments) {
    const std::string name = "node" + std::to_string(nodes_.size());
    const std::string ready = folder_.file(name + ".json");
    std::vector<std::string> command = {program("shoal-node")};
    if (blocks.empty()) {
      command.push_back("bootstrap");
    } else {
      command.insert(command.end(), {"run", "--model", kDemoModel, "--blocks", blocks, "--threads",
                                     "1", "--kv-positions", "512"});
    }
    command.insert(command.end(),
                   {"--identity", folder_.file(name + ".key"), "--ready-file", ready});
    command.insert(command.end(), arguments.begin(), arguments.end());
    nodes_.push_back(std::make_unique<Process>(net.inside(command)));
    if (!wait_for_file(ready, *nodes_.back(), kTimeoutMs)) {
      ADD_FAILURE() << "not online: " << nodes_.back()->err();
      return "";
    }
    return nlohmann::json::parse(read_file(ready)).at("address").get<std::string>();
  }
  std::string log(std::size_t node) const { return nodes_[node]->err(); }

  Outcome shoal(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), program("shoal"));
    return run(net.inside(arguments), kTimeoutMs);
  }
  // The addresses in the swarm's records.
  std::set<std::string> announced(const std::string& join) const {
    const Outcome status = shoal({"status", "--json", "--join", join});
    std::set<std::string> result;
    const auto json = nlohmann::json::parse(status.out, nullptr, false);
    if (json.is_discarded()) return {status.err};
    for (const auto& model : json.at("models")) {
      for (const auto& node : model.at("nodes")) {
        for (const auto& address : node.at("addresses")) result.insert(address.get<std::string>());
      }
    }
    return result;
  }
  Outcome generate(const std::string& join, const std::string& wait_s = "5") const {
    return shoal({"generate", "--model", kDemoModel, "--join", join, "--greedy", "--max-tokens",
                  "4", "--wait", wait_s, "Once upon a time"});
  }

 private:
  TempDir folder_;
  std::vector<std::unique_ptr<Process>> nodes_;
};

class Addresses : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = NetworkNamespace::unavailable(); !why.empty()) GTEST_SKIP() << why;
  }
};

// Two machines on one cable: 10.1.0.1 and 10.1.0.2, fd00:1::1 and fd00:1::2.
struct Neighbours {
  Machine a, b;
  Neighbours() {
    a.net.connect("eth0", b.net, "eth0");
    a.net.ip("addr add 10.1.0.1/24 dev eth0");
    a.net.ip("addr add fd00:1::1/64 dev eth0 nodad");
    b.net.ip("addr add 10.1.0.2/24 dev eth0");
    b.net.ip("addr add fd00:1::2/64 dev eth0 nodad");
  }
};

TEST_F(Addresses, EveryAddressOfAMachineAnswers) {
  Neighbours lan;
  lan.a.net.ip("addr add 10.1.0.77/24 dev eth0");
  lan.a.net.ip("addr add fd00:1::77/64 dev eth0 nodad");
  lan.a.net.ip("addr add fd00:1::78/64 dev eth0 nodad");
  const std::string address = lan.a.start("0:8", {"--new-swarm", "--listen", ":7000"});
  EXPECT_EQ(address, "10.1.0.1:7000");
  for (const char* asked : {"10.1.0.1:7000", "10.1.0.77:7000", "[fd00:1::1]:7000",
                            "[fd00:1::77]:7000", "[fd00:1::78]:7000"}) {
    const Outcome status = lan.b.shoal({"status", "--check", "--join", asked});
    EXPECT_EQ(status.status, 0) << asked << status.out << status.err;
  }
  const Outcome here = lan.a.shoal({"status", "--check", "--join", "127.0.0.9:7000"});
  EXPECT_EQ(here.status, 0) << here.err;
}

TEST_F(Addresses, BridgesAndTunnelsThatNobodyCameThroughAreNotAnnounced) {
  Neighbours lan;
  // Made before the cable, as docker does at boot.
  Machine host;
  host.net.ip("link add docker0 type bridge");
  host.net.ip("addr add 172.17.0.1/16 dev docker0");
  host.net.ip("link set docker0 up");
  host.net.ip("link add inner type veth peer name outer");
  host.net.ip("link set inner master docker0 up");
  host.net.ip("link set outer up");
  host.net.connect("eth1", lan.b.net, "eth1");
  host.net.ip("addr add 10.2.0.1/24 dev eth1");
  host.net.ip("route add default via 10.2.0.2");
  lan.b.net.ip("addr add 10.2.0.2/24 dev eth1");
  EXPECT_EQ(host.start("0:8", {"--new-swarm", "--listen", "0.0.0.0:7000"}), "10.2.0.1:7000");
  EXPECT_EQ(lan.b.announced("10.2.0.1:7000"), std::set<std::string>{"10.2.0.1:7000"});
}

TEST_F(Addresses, AChangedAddressIsAnnouncedAnew) {
  Neighbours lan;
  const std::string seed = lan.b.start("", {"--listen", ":7000"});
  ASSERT_EQ(lan.a.start("0:8", {"--join", seed, "--listen", "0.0.0.0:7001"}), "10.1.0.1:7001");
  ASSERT_EQ(lan.b.announced(seed), std::set<std::string>{"10.1.0.1:7001"});
  // Of another length, since the kernel drops the secondary addresses of a network with the first.
  lan.a.net.ip("addr add 10.1.0.9/25 dev eth0");
  lan.a.net.ip("addr del 10.1.0.1/24 dev eth0");
  EXPECT_TRUE(within(
      seconds(30), [&] { return lan.b.announced(seed) == std::set<std::string>{"10.1.0.9:7001"}; }))
      << testing::PrintToString(lan.b.announced(seed)) << lan.a.log(0);
  EXPECT_THAT(lan.a.log(0), HasSubstr("10.1.0.9:7001"));
  EXPECT_EQ(lan.b.generate(seed).status, 0);
}

TEST_F(Addresses, ANodeThatStartsBeforeTheNetworkIsFoundWhenItComes) {
  Machine a, b;
  a.net.connect("eth0", b.net, "eth0");
  b.net.ip("addr add 10.1.0.2/24 dev eth0");
  EXPECT_EQ(a.start("0:8", {"--new-swarm", "--listen", ":7000"}), "127.0.0.1:7000");
  a.net.ip("addr add 10.1.0.1/24 dev eth0");
  EXPECT_TRUE(within(seconds(30), [&] {
    return b.announced("10.1.0.1:7000") == std::set<std::string>{"10.1.0.1:7000"};
  })) << a.log(0);
  EXPECT_EQ(b.generate("10.1.0.1:7000").status, 0);
}

TEST_F(Addresses, BothFamiliesByDefault) {
  Neighbours lan;
  // The first is started as users do, the second joins by IPv6; a user has one family only.
  const std::string first = lan.a.start("0:4", {"--new-swarm", "--listen", "[::]:7000"});
  lan.b.start("4:8", {"--join", "[fd00:1::1]:7000", "--listen", ":7001"});
  EXPECT_EQ(lan.a.announced(first), (std::set<std::string>{"10.1.0.1:7000", "[fd00:1::1]:7000",
                                                           "10.1.0.2:7001", "[fd00:1::2]:7001"}));
  for (const auto& [address, join] : std::vector<std::pair<std::string, std::string>>{
           {"10.1.0.3/24", "10.1.0.1:7000"}, {"fd00:1::3/64", "[fd00:1::1]:7000"}}) {
    Machine user;
    user.net.connect("eth0", lan.a.net, "eth1");
    // A router between them: the user's network is another.
    const bool v4 = address[0] == '1';
    user.net.ip(v4 ? "addr add 10.9.0.1/24 dev eth0" : "addr add fd00:9::1/64 dev eth0 nodad");
    lan.a.net.ip(v4 ? "addr add 10.9.0.2/24 dev eth1" : "addr add fd00:9::2/64 dev eth1 nodad");
    user.net.ip(v4 ? "route add default via 10.9.0.2" : "-6 route add default via fd00:9::2");
    lan.a.net.set("ipv4/ip_forward", "1");
    lan.a.net.set("ipv6/conf/all/forwarding", "1");
    lan.b.net.ip(v4 ? "route add 10.9.0.0/24 via 10.1.0.1"
                    : "-6 route add fd00:9::/64 via fd00:1::1");
    const Outcome text = user.generate(join);
    EXPECT_EQ(text.status, 0) << join << ": " << text.err;
  }
}

TEST_F(Addresses, WhoHasOneFamilyIsToldWhichNodesHaveTheOther) {
  Neighbours lan;
  // The seed speaks both, the only server IPv6.
  const std::string seed = lan.b.start("", {"--listen", ":7000"});
  lan.a.start("0:8", {"--join", "[fd00:1::2]:7000", "--listen", "[fd00:1::1]:7001"});
  Machine user;
  user.net.connect("eth0", lan.b.net, "eth1");
  user.net.ip("addr add 10.9.0.1/24 dev eth0");
  user.net.ip("route add default via 10.9.0.2");
  user.net.set("ipv6/conf/all/disable_ipv6", "1");
  lan.b.net.ip("addr add 10.9.0.2/24 dev eth1");
  const Outcome status = user.shoal({"status", "--check", "--join", seed});
  EXPECT_EQ(status.status, 1) << status.out;
  EXPECT_THAT(status.err, HasSubstr("has only IPv6 addresses"));
  const Outcome text = user.generate(seed, "0");
  EXPECT_NE(text.status, 0);
  EXPECT_THAT(text.err, HasSubstr("has only IPv6 addresses"));
}

TEST_F(Addresses, AMachineWithoutIPv6NeedsNone) {
  Machine a;
  for (const char* which : {"all", "default", "lo"})
    a.net.set(std::string("ipv6/conf/") + which + "/disable_ipv6", "1");
  const std::string address = a.start("0:8", {"--new-swarm"});
  EXPECT_EQ(address, "127.0.0.1" + port_of(address));
  const Outcome text = a.generate(address);
  EXPECT_EQ(text.status, 0) << text.err;
}

}  // namespace
}  // namespace shoal::tests
