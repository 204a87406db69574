// SPDX-License-Identifier: Apache-2.0
// A port that a router forwards to us: asked for by PCP (net/pcp.h), NAT-PMP or UPnP, side by side,
// renewed at half of its lease and when the router has lost it, given back at the end. Owns a
// thread ("map"), which may block on the router for seconds; everything else is for any thread.
// Only IPv4 has NAT-PMP and UPnP; with IPv6 PCP opens the router's firewall.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "net/interfaces.h"
#include "proto/endpoint.h"

namespace shoal::net {

enum class MappingProtocol : std::uint8_t { kPcp, kNatPmp, kUpnp };
const char* name_of(MappingProtocol protocol);  // "PCP", "NAT-PMP", "UPnP"

struct PortMapping {
  MappingProtocol protocol = MappingProtocol::kPcp;
  proto::Endpoint external;    // of TCP; the address is the router's word, and may be unspecified
  std::uint16_t udp_port = 0;  // outside; 0: UDP is not mapped
  std::chrono::seconds lease{0};  // 0: for ever
  friend bool operator==(const PortMapping&, const PortMapping&) = default;
};

// What the router offers, as far as it is known.
struct RouterOffers {
  bool pcp = false, nat_pmp = false, upnp = false;
  bool any() const { return pcp || nat_pmp || upnp; }
};

struct PortMapperOptions {
  std::uint16_t port = 0;  // that we listen on, TCP and UDP
  Route route;             // towards the world; its gateway is the router
  std::chrono::seconds lease{3'600};
};

class PortMapper {
 public:
  // `changed`: the mapping is another or gone, on a thread of ours. Begins to look at once what the
  // router offers, and maps nothing yet.
  PortMapper(const PortMapperOptions& options, std::function<void()> changed);
  ~PortMapper();  // gives the mapping back; waits for the router, some seconds at worst
  PortMapper(const PortMapper&) = delete;
  PortMapper& operator=(const PortMapper&) = delete;

  // Waits until that is known, or the deadline.
  RouterOffers offers(std::chrono::steady_clock::time_point deadline, const base::StopToken& stop);
  // Maps, and keeps mapped from now on. NOT_FOUND: the router offers nothing of the kind; else what
  // it says.
  absl::StatusOr<PortMapping> map(std::chrono::steady_clock::time_point deadline,
                                  const base::StopToken& stop);
  // The mapping may be gone (we slept, nobody comes through): asks for it again at once.
  void renew();
  // As of now; NOT_FOUND without one.
  absl::StatusOr<PortMapping> mapping() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
