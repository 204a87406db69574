// SPDX-License-Identifier: Apache-2.0
// How others reach a node, and what it says of that: real programs behind a real router's program
// (miniupnpd), in network namespaces of the tests' own. (tests/nat has every kind of router.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tests/cli/machines.h"
#include "tests/cli/process_swarm.h"
#include "tests/support/network_namespace.h"

namespace shoal::tests {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kOnlineMs = 30'000;

// An Internet of one cable, a seed on it (25.1.1.1), a router (25.1.1.5) and a home behind it
// (192.168.8.2). Addresses that are public somewhere: routers map nothing for others. They lead
// nowhere from here.
class ReachLab {
 public:
  NetworkNamespace seed, router, home;

  ReachLab() {
    seed.connect("eth0", router, "wan");
    home.connect("eth0", router, "lan");
    seed.ip("addr add 25.1.1.1/24 dev eth0");
    router.ip("addr add 25.1.1.5/24 dev wan");
    router.ip("addr add 192.168.8.1/24 dev lan");
    home.ip("addr add 192.168.8.2/24 dev eth0");
    home.ip("route add default via 192.168.8.1");
    router.set("ipv4/ip_forward", "1");
    nft(R"(table inet filter {
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept; iifname "lan" accept; jump mapped; }
  chain mapped { }
  chain prerouting { type nat hook prerouting priority -100; jump mapped_in; }
  chain postrouting { type nat hook postrouting priority 100;
    oifname "wan" jump mapped_out; meta nfproto ipv4 oifname "wan" masquerade; }
  chain mapped_in { }
  chain mapped_out { }
})");
  }

  // IPv6 too, as providers give it: every machine has an address of the world, and the router lets
  // nobody in. It is known inside by an address of its link, as it says in its advertisements.
  void add_v6() {
    seed.ip("addr add 2a00:25::1/64 dev eth0 nodad");
    router.ip("addr add 2a00:25::5/64 dev wan nodad");
    router.ip("addr add 2a00:8::1/64 dev lan nodad");
    router.ip("addr add fe80::1/64 dev lan nodad");
    home.ip("addr add 2a00:8::2/64 dev eth0 nodad");
    home.ip("route add default via fe80::1 dev eth0");
    seed.ip("route add 2a00:8::/64 via 2a00:25::5");
    router.set("ipv6/conf/all/forwarding", "1");
  }

  static std::string unavailable() {
    if (std::string why = NetworkNamespace::unavailable(); !why.empty()) return why;
    if (!std::filesystem::exists("/usr/sbin/nft")) return "needs nft(8), of the package nftables";
    if (!std::filesystem::exists("/usr/sbin/miniupnpd")) return "needs miniupnpd";
    return "";
  }

  void nft(const std::string& rules) {
    const std::string file = folder_.file("rules");
    std::ofstream(file) << rules;
    const Outcome outcome = run(router.inside({"/usr/sbin/nft", "-f", file}), 10'000);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  std::string rules() const {
    return run(router.inside({"/usr/sbin/nft", "list", "ruleset"}), 10'000).out;
  }

  void start_mapping(const std::string& options) {
    const std::string file = folder_.file("miniupnpd.conf");
    std::ofstream(file) << "ext_ifname=wan\nlistening_ip=lan\nport=5000\n"
                           "uuid=90856ec7-620a-400f-9d99-42ebf40e5834\n"
                           "upnp_table_name=filter\nupnp_nat_table_name=filter\n"
                           "upnp_forward_chain=mapped\nupnp_nat_chain=mapped_in\n"
                           "upnp_nat_postrouting_chain=mapped_out\n"
                           "allow 1024-65535 0.0.0.0/0 1024-65535\n"
                        << options;
    mapper_ = std::make_unique<Process>(router.inside(
        {"/usr/sbin/miniupnpd", "-d", "-f", file, "-P", folder_.file("miniupnpd.pid")}));
    ASSERT_TRUE(eventually(10'000, [&] {
      return mapper_->err().find("HTTP listening") != std::string::npos ||
             mapper_->err().find("PCP traffic") != std::string::npos;
    })) << mapper_->err();
  }

  // A bootstrap node in the open.
  void start_seed(const std::string& listen = "25.1.1.1:7000") {
    nodes_.push_back(std::make_unique<Process>(
        seed.inside({program("shoal-node"), "bootstrap", "--listen", listen, "--identity",
                     folder_.file("seed.key"), "--ready-file", folder_.file("seed.json")})));
    ASSERT_TRUE(wait_for_file(folder_.file("seed.json"), *nodes_.back(), kOnlineMs))
        << nodes_.back()->err();
  }

  // One that is online, and has said so.
  Process& start_node(const NetworkNamespace& where, const std::vector<std::string>& arguments) {
    const std::string name = "node" + std::to_string(nodes_.size());
    const std::string ready = folder_.file(name + ".json");
    std::vector<std::string> command = {program("shoal-node"), "run", "--model", kDemoModel};
    command.insert(command.end(), {"--threads", "1", "--kv-positions", "512", "--identity",
                                   folder_.file(name + ".key"), "--ready-file", ready});
    if (std::ranges::find(arguments, "--blocks") == arguments.end())
      command.insert(command.end(), {"--blocks", "0:8"});
    command.insert(command.end(), arguments.begin(), arguments.end());
    nodes_.push_back(std::make_unique<Process>(where.inside(command)));
    EXPECT_TRUE(wait_for_file(ready, *nodes_.back(), kOnlineMs)) << nodes_.back()->err();
    EXPECT_TRUE(
        eventually(5'000, [&] { return nodes_.back()->out().find('\n') != std::string::npos; }));
    return *nodes_.back();
  }

  Outcome generate(const NetworkNamespace& from, const std::string& join = "25.1.1.1:7000",
                   const std::string& wait = "5") const {
    return run(from.inside({program("shoal"), "generate", "--model", kDemoModel, "--join", join,
                            "--greedy", "--max-tokens", "4", "--wait", wait, "Once upon a time"}),
               kOnlineMs);
  }

 private:
  TempDir folder_;
  std::unique_ptr<Process> mapper_;
  std::vector<std::unique_ptr<Process>> nodes_;
};

const std::vector<std::string> kJoinSeed = {"--join", "25.1.1.1:7000", "--listen", ":7001"};

class Reach : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = ReachLab::unavailable(); !why.empty()) GTEST_SKIP() << why;
    lab_ = std::make_unique<ReachLab>();
  }
  // A node at home is found from the world, and what was mapped is given back at its end.
  void maps_and_gives_back(const std::string& protocol) {
    lab_->start_seed();
    Process& node = lab_->start_node(lab_->home, kJoinSeed);
    EXPECT_THAT(node.out(),
                HasSubstr("is online at 25.1.1.5:7001 (mapped by " + protocol + ") and serves"));
    EXPECT_THAT(lab_->rules(), HasSubstr("192.168.8.2:7001"));
    const Outcome text = lab_->generate(lab_->seed);
    EXPECT_EQ(text.status, 0) << text.err;
    node.signal(SIGTERM);
    EXPECT_EQ(node.wait(15'000), 0) << node.err();
    EXPECT_THAT(lab_->rules(), Not(HasSubstr("192.168.8.2:7001")));
  }

  std::unique_ptr<ReachLab> lab_;
};

TEST_F(Reach, BehindARouterThatMapsByPcpTheWorldFindsTheNode) {
  lab_->start_mapping("enable_natpmp=yes\nenable_upnp=no\n");
  maps_and_gives_back("PCP");
}

// What begins with PCP's version (2) never arrives: the router is one that speaks NAT-PMP alone.
TEST_F(Reach, ByNatPmpAlone) {
  lab_->nft(R"(table inet no_pcp {
  chain input { type filter hook input priority 0; policy accept;
    udp dport 5351 @th,64,8 2 drop; }
})");
  lab_->start_mapping("enable_natpmp=yes\nenable_upnp=no\n");
  maps_and_gives_back("NAT-PMP");
}

// No translation, but a router that lets nobody in: PCP opens the very port.
TEST_F(Reach, ByIpv6PcpOpensTheRoutersFirewall) {
  lab_->add_v6();
  lab_->start_mapping("enable_natpmp=yes\nenable_upnp=no\next_ifname6=wan\n");
  lab_->start_seed("[2a00:25::1]:7000");
  Process& node =
      lab_->start_node(lab_->home, {"--join", "[2a00:25::1]:7000", "--listen", ":7001"});
  EXPECT_THAT(node.out(), HasSubstr("is online at [2a00:8::2]:7001 (mapped by PCP) and serves"));
  EXPECT_THAT(lab_->rules(), HasSubstr("dport 7001"));
  const Outcome text = lab_->generate(lab_->seed, "[2a00:25::1]:7000");
  EXPECT_EQ(text.status, 0) << text.err;
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait(15'000), 0) << node.err();
  EXPECT_THAT(lab_->rules(), Not(HasSubstr("dport 7001")));
}

TEST_F(Reach, ByUpnpToo) {
  lab_->start_mapping("enable_natpmp=no\nenable_upnp=yes\n");
  lab_->start_seed();
  Process& node = lab_->start_node(lab_->home, kJoinSeed);
  EXPECT_THAT(node.out(), HasSubstr("is online at 25.1.1.5:7001 (mapped by UPnP) and serves"));
  const Outcome text = lab_->generate(lab_->seed);
  EXPECT_EQ(text.status, 0) << text.err;
  node.signal(SIGTERM);
  EXPECT_EQ(node.wait(15'000), 0) << node.err();
  EXPECT_THAT(lab_->rules(), Not(HasSubstr("192.168.8.2:7001")));
}

Outcome netcheck(const NetworkNamespace& where, const std::vector<std::string>& more) {
  std::vector<std::string> command = {program("shoal-node"), "netcheck", "--listen", ":7001"};
  command.insert(command.end(), more.begin(), more.end());
  return run(where.inside(command), kOnlineMs);
}

TEST_F(Reach, ANetcheckThatFindsNobodyToAskSaysSoAndFails) {
  const Outcome alone = netcheck(lab_->home, {});
  EXPECT_EQ(alone.status, 1) << alone.out << alone.err;
  EXPECT_THAT(alone.out, HasSubstr("Nobody to ask: name an address of the swarm with --join"));
  const Outcome alone_json = netcheck(lab_->home, {"--json"});
  EXPECT_EQ(alone_json.status, 1);
  EXPECT_EQ(nlohmann::json::parse(alone_json.out, nullptr, false).value("answer", ""),
            "nobody_to_ask");
  // Who answers is on this very machine: that proves nothing of the way here.
  lab_->start_seed();
  const Outcome same = netcheck(lab_->seed, {"--join", "25.1.1.1:7000"});
  EXPECT_EQ(same.status, 1) << same.out << same.err;
  EXPECT_THAT(same.out, HasSubstr("Nobody to ask: whether a node here is reached shows when"));
}

TEST_F(Reach, APortThatSomebodyForwardsIsDirectAndNetcheckSaysWhatIsMissing) {
  lab_->start_seed();
  const Outcome closed = netcheck(lab_->home, {"--join", "25.1.1.1:7000", "--json"});
  const auto json = nlohmann::json::parse(closed.out, nullptr, false);
  ASSERT_TRUE(json.is_object()) << closed.out << closed.err;
  const auto& v4 = json.at("families").at(0);
  EXPECT_EQ(v4.at("seen"), "25.1.1.5");
  EXPECT_EQ(v4.at("tcp"), "not reached");
  EXPECT_EQ(v4.at("udp"), "not reached");
  EXPECT_EQ(v4.at("helpers").size(), 1u);
  EXPECT_EQ(v4.at("router").at("upnp"), false);
  EXPECT_EQ(closed.status, 0);  // the seed would relay
  EXPECT_EQ(json.at("relays").size(), 1u);
  EXPECT_THAT(json.at("told").get<std::string>(),
              AllOf(HasSubstr("through relay "),
                    HasSubstr("forward TCP and UDP port 7001 to this machine (192.168.8.2)")));
  // Its own address is of use to nobody who reads this, but in the same house.
  Process& relayed = lab_->start_node(lab_->home, kJoinSeed);
  EXPECT_THAT(relayed.out(), HasSubstr("is online via relay 25.1.1.1:7000 (through relay "));
  const Outcome status =
      run(lab_->seed.inside({program("shoal"), "status", "--join", "25.1.1.1:7000"}), kOnlineMs);
  EXPECT_THAT(status.out,
              AllOf(HasSubstr("via relay 25.1.1.1:7000"), Not(HasSubstr("192.168.8.2"))));
  relayed.signal(SIGTERM);
  EXPECT_EQ(relayed.wait(15'000), 0) << relayed.err();
  lab_->nft(R"(
add rule inet filter mapped_in iifname "wan" tcp dport 7001 dnat ip to 192.168.8.2:7001
add rule inet filter mapped_in iifname "wan" udp dport 7001 dnat ip to 192.168.8.2:7001
add rule inet filter mapped ip daddr 192.168.8.2 accept
)");
  const Outcome open = netcheck(lab_->home, {"--join", "25.1.1.1:7000"});
  EXPECT_EQ(open.status, 0) << open.out << open.err;
  EXPECT_THAT(open.out, HasSubstr("A node here is reached: direct"));
  Process& node = lab_->start_node(lab_->home, kJoinSeed);
  EXPECT_THAT(node.out(), HasSubstr("is online at 25.1.1.5:7001 (direct) and serves"));
}

// In the open, where it is said at once; and after the process stood still it looks again.
TEST_F(Reach, InTheOpenANodeIsDirectAndAfterASleepLooksAgain) {
  lab_->start_seed();
  Process& node =
      lab_->start_node(lab_->seed, {"--join", "25.1.1.1:7000", "--listen", "25.1.1.1:7001"});
  // The only one to ask is on the same machine: that proves nothing of the way here.
  EXPECT_THAT(node.out(), HasSubstr("is online at 25.1.1.1:7001 (nobody is there yet"));
  Process& other = lab_->start_node(
      lab_->router, {"--join", "25.1.1.1:7000", "--listen", "25.1.1.5:7002", "--add-model"});
  EXPECT_THAT(other.out(), HasSubstr("is online at 25.1.1.5:7002 (direct) and serves"));
  EXPECT_TRUE(eventually(10'000, [&] {
    return node.err().find("others reach this node: direct") != std::string::npos;
  })) << node.err();
  other.signal(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::seconds(7));
  other.signal(SIGCONT);
  EXPECT_TRUE(eventually(5'000, [&] {
    return other.err().find("stood still for a while") != std::string::npos;
  })) << other.err();
}

// The only one to ask is on this machine, under another of its addresses: a call from there to the
// port proves nothing, and a refusal neither.
TEST_F(Reach, WhoIsOnTheSameMachineUnderAnotherAddressIsNotAsked) {
  lab_->seed.ip("addr add 25.1.1.2/24 dev eth0");
  lab_->start_seed();
  Process& node =
      lab_->start_node(lab_->seed, {"--join", "25.1.1.1:7000", "--listen", "25.1.1.2:7001"});
  EXPECT_THAT(node.out(), HasSubstr("is online at 25.1.1.2:7001 (nobody is there yet"));
}

// The user reaches both nodes, and the one does not reach the other: what is sent there vanishes.
TEST_F(Reach, AWayThatIsDeadBetweenTwoNodesIsToldOnceAndByWhom) {
  lab_->start_seed();
  lab_->start_node(lab_->seed,
                   {"--join", "25.1.1.1:7000", "--listen", "25.1.1.1:7001", "--blocks", "0:4"});
  lab_->start_node(lab_->router,
                   {"--join", "25.1.1.1:7000", "--listen", "25.1.1.5:7002", "--blocks", "4:8"});
  lab_->nft(R"(table inet hole {
  chain input { type filter hook input priority 0; policy accept;
    iifname "wan" tcp dport 7002 drop; }
})");
  const Outcome user = lab_->generate(lab_->home, "25.1.1.1:7000", "3");
  EXPECT_EQ(user.status, 1);
  const std::size_t told = user.err.find("shoal: lost blocks 4..7: ");
  ASSERT_NE(told, std::string::npos) << user.err;
  EXPECT_EQ(user.err.find("shoal: lost", told + 1), std::string::npos) << user.err;
  EXPECT_THAT(user.err.substr(user.err.rfind("shoal: node ")),
              AllOf(HasSubstr(" at 25.1.1.5:7002: node "),
                    HasSubstr(" at 25.1.1.1:7001 says: the next hop "),
                    HasSubstr("this node does not reach it"), HasSubstr(", lost 2 times)")));
}

}  // namespace
}  // namespace shoal::tests
