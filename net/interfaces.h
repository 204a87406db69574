// SPDX-License-Identifier: Apache-2.0
// What this machine's kernel says of its network: interfaces with their addresses, and by which of
// them a packet to somebody would leave. Asks by netlink; nothing is sent anywhere. Any thread; no
// state.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proto/endpoint.h"

namespace shoal::net {

// One address of one interface that is up.
struct InterfaceAddress {
  proto::Endpoint address;  // port 0
  int index = 0;            // of the interface
  std::string interface = {};
  bool loopback = false;
  bool running = true;  // has a carrier: a cable, or somebody at the other end
  // A bridge, tunnel or end of a virtual cable, as containers, virtual machines and VPNs make them.
  bool is_virtual = false;
  bool temporary = false;   // IPv6 privacy address: changes daily
  bool deprecated = false;  // on its way out
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

// Tentative addresses, which may turn out to be another's, are left out. Empty on failure.
std::vector<InterfaceAddress> interface_addresses();

// Whether an interface is virtual, by the kind that its driver states ("bridge", "" for hardware),
// its flags and its name.
bool is_virtual_interface(const std::string& kind, const std::string& name, bool point_to_point);

struct Route {
  proto::Endpoint source;  // our address that the kernel would send from; port 0
  int index = 0;           // the interface
  std::optional<proto::Endpoint> gateway;  // who sends it on; port 0; none: a neighbour, or ourselves
};
// nullopt: no way leads there.
std::optional<Route> route_to(const proto::Endpoint& destination);
// To the Internet at large, with IPv4 or with IPv6.
std::optional<Route> default_route(bool v4);

}  // namespace shoal::net
