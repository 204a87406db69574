// SPDX-License-Identifier: Apache-2.0
// Where a peer is found: at an endpoint of its own, or through a relay peer that sends on what is
// meant for it. Plain value, pure functions. In bytes: a kind, for a relay its peer id, then the
// endpoint (proto/endpoint.h). docs/protocol-dht.md, "Records".
#pragma once

#include <compare>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::proto {

struct Address {
  Endpoint endpoint;            // the peer's own, or its relay's
  std::optional<PeerId> relay;  // who relays; absent: direct

  Address() = default;
  // Every endpoint is an address, and not the other way round.
  Address(const Endpoint& direct) : endpoint(direct) {}  // NOLINT(google-explicit-constructor)
  static Address through(const PeerId& relay, const Endpoint& at);

  bool is_direct() const { return !relay.has_value(); }
  friend auto operator<=>(const Address&, const Address&) = default;
};

// "192.0.2.1:7000", or "via 1a2b3c4d at 192.0.2.1:7000".
std::string to_string(const Address& address);

// Those that are reached without a relay, in the same order.
std::vector<Endpoint> direct_endpoints(std::span<const Address> addresses);

std::string encode_address(const Address& address);
// Whether these bytes begin with a kind of address that this version knows. A reader leaves others
// out: a later version may know more ways to a peer.
bool is_known_address_kind(std::string_view bytes);
// nullopt for unknown kinds, other sizes, and endpoints that nobody can use.
std::optional<Address> decode_address(std::string_view bytes);

}  // namespace shoal::proto
