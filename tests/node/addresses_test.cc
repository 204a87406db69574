// SPDX-License-Identifier: Apache-2.0
// Which addresses are announced, and in which order: a table of machines.
#include "node/member/addresses.h"

#include <gtest/gtest.h>

namespace shoal::node {
namespace {

proto::Endpoint at(const std::string& text) { return *proto::parse_endpoint(text); }

// "192.0.2.1" or "2001:db8::1".
proto::Endpoint ip(const std::string& text) {
  return at(text.find(':') == std::string::npos ? text + ":0" : "[" + text + "]:0");
}

struct Interface {
  std::string name, address;
  std::string is = {};  // words: virtual, idle, temporary, deprecated, loopback
};

struct Machine {
  std::string name;
  std::vector<Interface> interfaces;
  std::vector<std::string> default_sources = {}, join_sources = {}, met = {};
  std::vector<dht::ObservedAddress> observed = {};
  bool loopback_swarm = false;
  std::string listen = "[::]:7000";
  std::vector<std::string> announced;  // what is expected
};

AddressFacts facts_of(const Machine& machine) {
  AddressFacts facts;
  facts.bound = at(machine.listen);
  std::vector<std::string> names;
  for (const Interface& interface : machine.interfaces) {
    auto known = std::find(names.begin(), names.end(), interface.name);
    if (known == names.end()) known = names.insert(names.end(), interface.name);
    const auto has = [&](const char* word) { return interface.is.find(word) != std::string::npos; };
    net::InterfaceAddress entry;
    entry.address = ip(interface.address);
    entry.interface = interface.name;
    entry.index = static_cast<int>(known - names.begin()) + 1;
    entry.is_virtual = has("virtual");
    entry.running = !has("idle");
    entry.temporary = has("temporary");
    entry.deprecated = has("deprecated");
    entry.loopback = has("loopback");
    facts.interfaces.push_back(entry);
  }
  for (const std::string& source : machine.default_sources)
    facts.default_routes.push_back({ip(source), 1, {}});
  for (const std::string& source : machine.join_sources)
    facts.join_routes.push_back({ip(source), 1, {}});
  for (const std::string& address : machine.met) facts.met.push_back(ip(address));
  facts.observed = machine.observed;
  facts.loopback_swarm = machine.loopback_swarm;
  return facts;
}

const Interface kLo{"lo", "127.0.0.1", "loopback"};
const Interface kLo6{"lo", "::1", "loopback"};
const Interface kDocker{"docker0", "172.17.0.1", "virtual"};
const Interface kIdleDocker{"docker0", "172.17.0.1", "virtual idle"};

const Machine kMachines[] = {
    {.name = "an address that was named is announced as it is",
     .interfaces = {kLo, {"eth0", "198.51.100.7"}},
     .listen = "192.0.2.1:7000",
     .announced = {"192.0.2.1:7000"}},
    {.name = "docker first in the kernel's order",
     .interfaces = {kLo, kDocker, {"eth0", "192.168.1.5"}},
     .default_sources = {"192.168.1.5"},
     .announced = {"192.168.1.5:7000"}},
    {.name = "no default route",
     .interfaces = {kLo, kDocker, {"eth0", "192.168.1.5"}},
     .announced = {"192.168.1.5:7000"}},
    {.name = "the bridge of a host of virtual machines is its network card",
     .interfaces = {kLo, {"br0", "192.168.1.5", "virtual"}, kDocker},
     .default_sources = {"192.168.1.5"},
     .announced = {"192.168.1.5:7000"}},
    {.name = "within a container",
     .interfaces = {kLo, {"eth0", "172.17.0.2", "virtual"}},
     .default_sources = {"172.17.0.2"},
     .announced = {"172.17.0.2:7000"}},
    {.name = "nothing but bridges",
     .interfaces = {kLo, kIdleDocker, {"virbr0", "192.168.122.1", "virtual"}},
     .announced = {"192.168.122.1:7000", "172.17.0.1:7000"}},
    {.name = "a bridge that a peer came through",
     .interfaces = {kLo, kDocker, {"eth0", "192.168.1.5"}},
     .default_sources = {"192.168.1.5"},
     .met = {"172.17.0.1"},
     .announced = {"192.168.1.5:7000", "172.17.0.1:7000"}},
    {.name = "a tunnel that somebody came through has two families",
     .interfaces = {kLo, {"wg0", "10.9.0.2", "virtual"}, {"wg0", "fd00:9::2", "virtual"}},
     .met = {"10.9.0.2"},
     .announced = {"10.9.0.2:7000", "[fd00:9::2]:7000"}},
    {.name = "a tunnel by which we joined",
     .interfaces = {kLo, {"wg0", "10.9.0.2", "virtual"}, {"eth0", "192.168.1.5"}},
     .default_sources = {"192.168.1.5"},
     .join_sources = {"10.9.0.2"},
     .announced = {"10.9.0.2:7000", "192.168.1.5:7000"}},
    {.name = "a public address is better for strangers than the neighbour's way",
     .interfaces = {kLo, {"eth1", "10.0.0.5"}, {"eth0", "198.51.100.7"}},
     .default_sources = {"198.51.100.7"},
     .join_sources = {"10.0.0.5"},
     .announced = {"198.51.100.7:7000", "10.0.0.5:7000"}},
    {.name = "both families",
     .interfaces = {kLo, kLo6, {"eth0", "192.168.1.5"}, {"eth0", "2001:db8::5"}},
     .default_sources = {"192.168.1.5", "2001:db8::5"},
     .announced = {"[2001:db8::5]:7000", "192.168.1.5:7000"}},
    {.name = "0.0.0.0 is IPv4 only",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}, {"eth0", "2001:db8::5"}},
     .default_sources = {"192.168.1.5", "2001:db8::5"},
     .listen = "0.0.0.0:7000",
     .announced = {"192.168.1.5:7000"}},
    {.name = "link-local addresses of IPv6 are for nobody",
     .interfaces = {kLo, {"eth0", "fe80::1"}, {"eth0", "192.168.1.5"}},
     .announced = {"192.168.1.5:7000"}},
    {.name = "the other family has its place though four of one would fill the record",
     .interfaces = {{"eth0", "192.168.1.1"},
                    {"eth1", "192.168.2.1"},
                    {"eth2", "192.168.3.1"},
                    {"eth3", "192.168.4.1"},
                    {"eth4", "192.168.5.1"},
                    {"eth4", "fd00::5"}},
     .announced = {"192.168.1.1:7000", "192.168.2.1:7000", "192.168.3.1:7000", "[fd00::5]:7000"}},
    {.name = "stable addresses rather than those of today",
     .interfaces = {kLo,
                    {"eth0", "2001:db8::bad", "temporary"},
                    {"eth0", "2001:db8::5"},
                    {"eth0", "2001:db8::dead", "deprecated"}},
     .default_sources = {"2001:db8::bad"},
     .announced = {"[2001:db8::5]:7000"}},
    {.name = "seen at today's address",
     .interfaces = {kLo,
                    {"eth1", "2001:db8:1::9"},
                    {"eth0", "2001:db8::bad", "temporary"},
                    {"eth0", "2001:db8::5"}},
     .observed = {{at("[2001:db8::bad]:7000"), 3, 3}},
     .announced = {"[2001:db8::5]:7000", "[2001:db8:1::9]:7000"}},
    {.name = "a temporary address where there is no other",
     .interfaces = {kLo, {"eth0", "2001:db8::bad", "temporary"}},
     .announced = {"[2001:db8::bad]:7000"}},
    {.name = "where peers see us comes first",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}, {"eth1", "192.168.2.5"}},
     .default_sources = {"192.168.1.5"},
     .observed = {{at("192.168.2.5:7000"), 1, 1}},
     .announced = {"192.168.2.5:7000", "192.168.1.5:7000"}},
    {.name = "behind a router that forwards the port",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}},
     .default_sources = {"192.168.1.5"},
     .observed = {{at("203.0.113.9:7000"), 5, 4}},
     .announced = {"203.0.113.9:7000", "192.168.1.5:7000"}},
    {.name = "a router that makes up ports lets nobody in",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}},
     .observed = {{at("203.0.113.9:51234"), 5, 4}},
     .announced = {"192.168.1.5:7000"}},
    {.name = "one network of peers is not believed to send others elsewhere",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}},
     .observed = {{at("203.0.113.9:7000"), 50, 2}},
     .announced = {"192.168.1.5:7000"}},
    {.name = "seen at another port of our own address",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}, {"eth1", "192.168.2.5"}},
     .observed = {{at("192.168.2.5:9999"), 5, 1}},
     .announced = {"192.168.2.5:7000", "192.168.1.5:7000"}},
    {.name = "no network yet", .interfaces = {kLo, kLo6}, .announced = {"127.0.0.1:7000"}},
    {.name = "a swarm on this machine",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}},
     .default_sources = {"192.168.1.5"},
     .join_sources = {"127.0.0.1", "127.0.0.1"},
     .loopback_swarm = true,
     .announced = {"127.0.0.1:7000"}},
    {.name = "a swarm on this machine's IPv6",
     .interfaces = {kLo6},
     .join_sources = {"::1"},
     .loopback_swarm = true,
     .announced = {"[::1]:7000"}},
    {.name = "joined by loopback a swarm that reaches beyond",
     .interfaces = {kLo, {"eth0", "192.168.1.5"}},
     .join_sources = {"127.0.0.1"},
     .announced = {"192.168.1.5:7000"}},
    {.name = "a cable that is not plugged in",
     .interfaces = {{"eth0", "192.168.1.5", "idle"}, {"wlan0", "192.168.7.5"}},
     .announced = {"192.168.7.5:7000"}},
    {.name = "two machines and a cable",
     .interfaces = {kLo, {"eth0", "169.254.7.7"}},
     .announced = {"169.254.7.7:7000"}},
    {.name = "what is no address of a peer is never announced",
     .interfaces = {{"eth0", "0.1.2.3"}, {"eth0", "224.0.0.5"}, {"eth0", "ff02::1"}},
     .observed = {{at("240.0.0.1:7000"), 9, 9}},
     .announced = {"127.0.0.1:7000"}},
};

TEST(Addresses, AreChosenAsTheMachineIs) {
  for (const Machine& machine : kMachines) {
    std::vector<std::string> announced;
    for (const proto::Endpoint& address : choose_addresses(facts_of(machine))) {
      EXPECT_TRUE(address.is_usable()) << machine.name;
      announced.push_back(proto::to_string(address));
    }
    EXPECT_EQ(announced, machine.announced) << machine.name;
  }
}

TEST(Addresses, OnlyASwarmThatIsAllOnThisMachineIsALoopbackSwarm) {
  const auto here = at("127.0.0.1:7000");
  const auto elsewhere = at("192.0.2.1:7000");
  EXPECT_TRUE(loopback_swarm(std::vector{here, here}));
  EXPECT_FALSE(loopback_swarm(std::vector{here, elsewhere}));
  EXPECT_FALSE(loopback_swarm({}));
}

TEST(Addresses, ThisMachineHasSomeWhateverItIs) {
  AddressFacts facts;
  facts.bound = at("[::]:7002");
  facts.interfaces = net::interface_addresses();
  EXPECT_FALSE(facts.interfaces.empty()) << "not even loopback";
  for (const proto::Endpoint& address : choose_addresses(facts)) {
    EXPECT_TRUE(address.is_usable());
    EXPECT_EQ(address.port, 7002);
  }
}

TEST(Interfaces, KindNameAndFlagsTellWhatIsNoWay) {
  for (const auto& [kind, name] :
       std::vector<std::pair<const char*, const char*>>{{"bridge", "docker0"},
                                                        {"bridge", "br-1c2d3e"},
                                                        {"veth", "veth12"},
                                                        {"tun", "tun0"},
                                                        {"wireguard", "home"},
                                                        {"vxlan", "flannel.1"},
                                                        {"", "docker0"},
                                                        {"dummy", "docker0"},
                                                        {"", "virbr0"},
                                                        {"", "tailscale0"}}) {
    EXPECT_TRUE(net::is_virtual_interface(kind, name, false)) << kind << " " << name;
  }
  for (const auto& [kind, name] :
       std::vector<std::pair<const char*, const char*>>{{"", "eth0"},
                                                        {"", "enp3s0"},
                                                        {"", "wlan0"},
                                                        {"bond", "bond0"},
                                                        {"vlan", "eth0.7"},
                                                        {"dummy", "d0"},
                                                        {"macvlan", "eth0"},
                                                        {"veth", "eth0"}}) {
    EXPECT_FALSE(net::is_virtual_interface(kind, name, false)) << kind << " " << name;
  }
  EXPECT_TRUE(net::is_virtual_interface("", "x0", true));
}

TEST(Interfaces, TheWayToOurselvesIsLoopback) {
  const auto route = net::route_to(at("127.0.0.1:7000"));
  ASSERT_TRUE(route.has_value());
  EXPECT_TRUE(route->source.is_loopback());
}

}  // namespace
}  // namespace shoal::node
