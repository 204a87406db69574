// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/internet.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/check.h"

namespace shoal::tests {
namespace {

constexpr int kFirstNetwork = 21;  // of IPv4's first bytes; a site has one, and one more each time
constexpr int kMaxSites = 60;      // that it is renumbered
// What a host itself sends and gets by TCP, by the other side's address.
constexpr const char* kCounters = R"(
table ip exchanged {
  set others { type ipv4_addr; flags dynamic; }
  chain sent { type filter hook output priority filter; policy accept;
    meta l4proto tcp update @others { ip daddr counter }
  }
  chain got { type filter hook input priority filter; policy accept;
    meta l4proto tcp update @others { ip saddr counter }
  }
}
)";

std::string first_three(int site, int generation) {
  return fmt::format("{}.{}.113.", kFirstNetwork + site, generation);
}

}  // namespace

const Network& Internet::Site::edge() const {
  if (carrier) return *carrier;
  return router ? router->network : hosts.front().network;
}

Internet::Internet(LinkOptions access) : access_(access) { backbone_.set("ipv4/ip_forward", "1"); }

Internet::~Internet() = default;

const Internet::Site& Internet::site_of(const Host& host) const {
  for (const Site& site : sites_) {
    for (const Host& one : site.hosts) {
      if (&one == &host) return site;
    }
  }
  CHECK(false) << "a host of another internet";
}

Internet::Site& Internet::site_of(const Host& host) {
  return const_cast<Site&>(std::as_const(*this).site_of(host));
}

// Sets the address of the site's end of its line, the way to it, and what its router makes of it.
void Internet::give_address(Site& site) {
  const std::string prefix = first_three(site.number, site.generation);
  site.public_address = prefix + "2";
  const std::string line = fmt::format("site{}", site.number);
  backbone_.ip(fmt::format("addr flush dev {0}\naddr add {1}1/30 dev {0}", line, prefix));
  const Network& edge = site.edge();
  edge.ip(
      fmt::format("addr flush dev wan\naddr add {0}2/30 dev wan\n"
                  "route replace default via {0}1",
                  prefix));
  for (Host& host : site.hosts) host.public_address = site.public_address;
  if (!site.router) return;
  const NatKind kind = site.carrier ? NatKind::kPortRestricted : site.router->kind;
  edge.nft("flush ruleset\n" + nft_rules(kind, site.public_address));
}

Host& Internet::host(NatKind kind) {
  CHECK(sites_.size() < kMaxSites) << "no more sites";
  Site& site = sites_.emplace_back();
  site.number = static_cast<int>(sites_.size()) - 1;
  if (kind != NatKind::kOpen) {
    site.router.reset(new Router{.network = {},
                                 .kind = kind,
                                 .lan_prefix = fmt::format("192.168.{}.", site.number + 10),
                                 .hosts = 0});
    const Network& inner = site.router->network;
    if (kind == NatKind::kDoubleNat) {
      site.carrier = std::make_unique<Network>();
      inner.cable("wan", *site.carrier, "lan");
      inner.ip(fmt::format("addr add 100.64.{0}.2/24 dev wan", site.number));
      site.carrier->ip(fmt::format("addr add 100.64.{0}.1/24 dev lan", site.number));
      inner.ip(fmt::format("route add default via 100.64.{0}.1", site.number));
      inner.nft(nft_rules(NatKind::kPortRestricted, fmt::format("100.64.{}.2", site.number)));
      site.carrier->set("ipv4/ip_forward", "1");
    }
    inner.ip(fmt::format("link add lan type bridge\naddr add {}1/24 dev lan\nlink set lan up",
                         site.router->lan_prefix));
    inner.set("ipv4/ip_forward", "1");
    // Where bridges ask the rules of routers too, neighbours would be strangers to each other.
    if (std::filesystem::exists("/proc/sys/net/bridge")) {
      inner.set("bridge/bridge-nf-call-iptables", "0");
    }
    inner.set("ipv4/conf/all/send_redirects", "0");
    inner.set("ipv4/conf/lan/send_redirects", "0");
  }
  if (kind == NatKind::kOpen) site.hosts.emplace_back().network.nft(kCounters);
  const std::string line = fmt::format("site{}", site.number);
  if (access_.plain()) {
    backbone_.cable(line, site.edge(), "wan");
  } else {
    emulator_.join(backbone_, line, site.edge(), "wan", access_);
  }
  give_address(site);
  if (kind == NatKind::kMapped) serve_mappings(site);
  if (kind != NatKind::kOpen) return add_host(site, false);
  site.hosts.front().address = site.public_address;
  return site.hosts.front();
}

Host& Internet::add_host(Site& site, bool isolated) {
  Router& router = *site.router;
  const int number = ++router.hosts;
  Host& host = site.hosts.emplace_back();
  host.network.nft(kCounters);
  const std::string cable = fmt::format("host{}", number);
  router.network.cable(cable, host.network, "eth0");
  router.network.ip(fmt::format("link set {} master lan", cable));
  if (isolated) {
    for (int i = 1; i <= number; ++i) {
      router.network.ip(fmt::format("link set host{} type bridge_slave isolated on", i));
    }
  }
  host.address = fmt::format("{}{}", router.lan_prefix, number + 1);
  host.public_address = site.public_address;
  host.network.ip(fmt::format("addr add {}/24 dev eth0\nroute add default via {}1", host.address,
                              router.lan_prefix));
  return host;
}

Host& Internet::beside(const Host& neighbour, bool isolated) {
  Site& site = site_of(neighbour);
  CHECK(site.router != nullptr) << "a host in the open has no neighbours";
  return add_host(site, isolated);
}

void Internet::renumber(Host& host) {
  Site& site = site_of(host);
  ++site.generation;
  give_address(site);
  if (!site.router) host.address = site.public_address;
}

void Internet::cut(const Host& host, bool is_cut) {
  const Site& site = site_of(host);
  const Network& edge = site.edge();
  if (is_cut) {
    edge.ip("link set wan down");
  } else {
    edge.ip("link set wan up\nroute replace default via " +
            first_three(site.number, site.generation) + "1");
  }
}

// The service that home routers have: UPnP, NAT-PMP and PCP, of miniupnpd.
void Internet::serve_mappings(Site& site) {
  const std::string program = system_program("miniupnpd");
  if (program.empty()) {
    throw std::runtime_error("needs miniupnpd, of the package miniupnpd-nftables");
  }
  const std::string config = folder_.file(fmt::format("miniupnpd{}.conf", site.number));
  write_file(config, fmt::format(R"(ext_ifname=wan
listening_ip=lan
port=5000
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
lease_file={}
uuid=00000000-0000-4000-8000-{:012d}
allow 1024-65535 {}0/24 1024-65535
)",
                                 folder_.file(fmt::format("{}.leases", site.number)), site.number,
                                 site.router->lan_prefix));
  site.mapping_service = site.router->network.start(
      {program, "-d", "-f", config, "-P", folder_.file(fmt::format("{}.pid", site.number))});
}

std::uint64_t tcp_bytes(const Host& at, const Host& with) {
  const auto reply = nlohmann::json::parse(
      at.network.nft_reply({"-j", "list", "set", "ip", "exchanged", "others"}));
  std::uint64_t bytes = 0;
  for (const auto& object : reply.at("nftables")) {
    if (!object.contains("set") || !object.at("set").contains("elem")) continue;
    for (const auto& item : object.at("set").at("elem")) {
      const auto& element = item.at("elem");
      const auto& other = element.at("val");
      if (other != with.address && other != with.public_address) continue;
      bytes += element.at("counter").at("bytes").get<std::uint64_t>();
    }
  }
  return bytes;
}

void forget_bytes(const Host& at) { at.network.nft("flush set ip exchanged others\n"); }

}  // namespace shoal::tests
