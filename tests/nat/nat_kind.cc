// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/nat_kind.h"

#include <fmt/format.h>

namespace shoal::tests {
namespace {

enum class Filter { kNobodyKept, kAddress, kAddressAndPort };

Filter filter(NatKind kind) {
  switch (kind) {
    case NatKind::kOpen:
    case NatKind::kFullCone:
    case NatKind::kHairpin:
      return Filter::kNobodyKept;
    case NatKind::kAddressRestricted:
      return Filter::kAddress;
    default:
      return Filter::kAddressAndPort;
  }
}

}  // namespace

std::string_view name(NatKind kind) {
  switch (kind) {
    case NatKind::kOpen:
      return "open";
    case NatKind::kFullCone:
      return "full-cone";
    case NatKind::kAddressRestricted:
      return "address-restricted";
    case NatKind::kPortRestricted:
      return "port-restricted";
    case NatKind::kSymmetric:
      return "symmetric";
    case NatKind::kDoubleNat:
      return "double-nat";
    case NatKind::kUdpBlocked:
      return "udp-blocked";
    case NatKind::kTcpOut:
      return "tcp-out";
    case NatKind::kMapped:
      return "mapped";
    case NatKind::kHairpin:
      return "hairpin";
  }
  return "?";
}

bool maps_each_destination(NatKind kind) { return kind == NatKind::kSymmetric; }

bool passes_udp(NatKind kind) { return kind != NatKind::kUdpBlocked && kind != NatKind::kTcpOut; }

bool open_to_strangers(NatKind kind) { return filter(kind) == Filter::kNobodyKept; }

bool direct_in_theory(NatKind a, NatKind b) {
  // What the mapping service was asked for is open to everybody.
  const auto open = [](NatKind kind) {
    return open_to_strangers(kind) || kind == NatKind::kMapped;
  };
  if (open(a) || open(b)) return true;
  if (a == NatKind::kTcpOut && b == NatKind::kTcpOut) return false;  // no SYN arrives at either
  // Nobody can name the port that a symmetric router will take next: the other one must let the
  // whole address in, and the symmetric one's SYN must be the one that arrives.
  if (maps_each_destination(a) && maps_each_destination(b)) return false;
  if (maps_each_destination(a)) return filter(b) == Filter::kAddress;
  if (maps_each_destination(b)) return filter(a) == Filter::kAddress;
  return true;
}

std::string nft_rules(NatKind kind, const std::string& wan_address) {
  // Linux keeps the inner port where it is free, as one host behind a router finds it. So a cone's
  // table needs no port of its own: it remembers which inner host sent from which port, and to whom
  // where the filter asks for that. Without an entry, as with a stranger's packet to a restricted
  // router, a packet stays the router's own and is dropped in silence (a reset would end what the
  // other side tries).
  std::string tables;
  std::string inward;
  std::string remember;
  if (filter(kind) == Filter::kNobodyKept) {
    tables =
        "map cone { type inet_proto . inet_service : ipv4_addr; flags dynamic,timeout; "
        "timeout 10m; }\n";
    inward = fmt::format(
        "ip daddr {} meta l4proto {{ tcp, udp }} dnat to meta l4proto . th dport map @cone\n",
        wan_address);
    remember = "update @cone { meta l4proto . th sport : ip saddr }";
  } else if (filter(kind) == Filter::kAddress) {
    tables =
        "map cone { type inet_proto . inet_service . ipv4_addr : ipv4_addr; "
        "flags dynamic,timeout; timeout 10m; }\n";
    inward = fmt::format(
        "ip daddr {} meta l4proto {{ tcp, udp }} dnat to meta l4proto . th dport . ip saddr "
        "map @cone\n",
        wan_address);
    remember = "update @cone { meta l4proto . th sport . ip daddr : ip saddr }";
  }
  if (!remember.empty()) {
    remember = "iifname lan oifname wan meta l4proto { tcp, udp } " + remember + "\n";
  }
  if (kind != NatKind::kHairpin && !inward.empty()) inward = "iifname wan " + inward;
  const std::string hairpin =
      kind == NatKind::kHairpin
          ? fmt::format("iifname lan oifname lan ct status dnat snat to {}\n", wan_address)
          : "";
  const std::string outward =
      maps_each_destination(kind) ? "masquerade fully-random" : "masquerade";
  const std::string blocked = passes_udp(kind) ? "" : "meta l4proto udp drop\n";
  const std::string no_syn =
      kind == NatKind::kTcpOut ? "iifname wan tcp flags & (syn | ack) == syn drop\n" : "";
  // Where miniupnpd puts what it maps: tables and chains of the names that it has by default.
  const std::string mapping_service = kind == NatKind::kMapped ? R"(
table inet filter {
  chain miniupnpd {}
  chain prerouting_miniupnpd {}
  chain postrouting_miniupnpd {}
  chain inward { type nat hook prerouting priority dstnat; policy accept;
    iifname wan jump prerouting_miniupnpd
  }
  chain outward { type nat hook postrouting priority srcnat; policy accept;
    oifname wan jump postrouting_miniupnpd
  }
  chain through { type filter hook forward priority filter; policy accept;
    jump miniupnpd
  }
}
)"
                                                               : "";
  return mapping_service + fmt::format(R"(
table ip router {{
  {}
  chain inward {{ type nat hook prerouting priority dstnat; policy accept;
    {}
  }}
  chain outward {{ type nat hook postrouting priority srcnat; policy accept;
    {}
    oifname wan {}
  }}
  chain through {{ type filter hook forward priority filter; policy drop;
    {}
    {}
    {}
    iifname lan oifname wan accept
    ct state established,related accept
    ct status dnat accept
  }}
  chain own {{ type filter hook input priority filter; policy drop;
    iifname != wan accept
    ct state established,related accept
    meta l4proto icmp accept
  }}
}}
)",
                                       tables, inward, hairpin, outward, blocked, no_syn, remember);
}

}  // namespace shoal::tests
