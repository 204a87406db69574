// SPDX-License-Identifier: Apache-2.0
// The kinds of routers that volunteers sit behind, what each does as rules of nft, and which pairs
// can be joined directly in theory. Pure functions. Words of RFC 4787: a mapping is the public
// address and port that a router lends to an inner one; a filter says who may send to it.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace shoal::tests {

enum class NatKind {
  kOpen,               // no router: a public address
  kFullCone,           // one mapping for all destinations, open to everybody
  kAddressRestricted,  // ... open to addresses that were sent to
  kPortRestricted,     // ... open to addresses and ports that were sent to (Linux masquerade)
  kSymmetric,          // a mapping of its own, at a random port, for each destination
  kDoubleNat,          // a port-restricted router behind a port-restricted one (a carrier's)
  kUdpBlocked,         // port-restricted, and no UDP passes
  kTcpOut,             // no UDP, and no SYN from outside, not even where one was sent to
  kMapped,             // port-restricted, with a service that maps ports (UPnP, NAT-PMP, PCP)
  kHairpin,            // full cone that also serves its inner hosts at its public address
};

inline constexpr std::array kNatKinds = {
    NatKind::kOpen,      NatKind::kFullCone,  NatKind::kAddressRestricted, NatKind::kPortRestricted,
    NatKind::kSymmetric, NatKind::kDoubleNat, NatKind::kUdpBlocked,        NatKind::kTcpOut,
    NatKind::kMapped,    NatKind::kHairpin,
};

std::string_view name(NatKind kind);

// Whether a new mapping is made for each destination; whether UDP passes; whether strangers reach
// a port that has a mapping (kOpen: any port).
bool maps_each_destination(NatKind kind);
bool passes_udp(NatKind kind);
bool open_to_strangers(NatKind kind);

// Whether two hosts behind different routers can have a TCP connection without a third one in
// between, when they know each other's mappings and dial at the same time.
bool direct_in_theory(NatKind a, NatKind b);

// Rules of a router with the interfaces "wan", whose address is `wan_address`, and "lan".
std::string nft_rules(NatKind kind, const std::string& wan_address);

}  // namespace shoal::tests
