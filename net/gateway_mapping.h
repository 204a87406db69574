// SPDX-License-Identifier: Apache-2.0
// Ports of a router by the protocols that speak to its own UDP port 5351: PCP, which is ours
// (net/pcp.h), and NAT-PMP (libnatpmp). Thread rule: one thread; the calls block up to their
// deadline, and end soon after a stop. Owns the two sockets while a call runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "net/pcp.h"
#include "net/port_mapping.h"

namespace shoal::net {

class GatewayPorts {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit GatewayPorts(const PortMapperOptions& options);

  // Which of the two the router speaks. Maps nothing.
  RouterOffers probe(Time deadline, const base::StopToken& stop);
  // Both TCP and UDP, by what the probe found; `wanted`: the mapping to be renewed, if there is
  // one.
  absl::StatusOr<PortMapping> map(const std::optional<PortMapping>& wanted, Time deadline,
                                  const base::StopToken& stop);
  void remove(const PortMapping& mapping, Time deadline);
  // Whether the router has lost what it mapped, asked by a datagram or two. false without an
  // answer.
  bool has_forgotten(Time deadline, const base::StopToken& stop);

 private:
  std::optional<PcpReply> ask_pcp(std::uint8_t protocol, std::uint16_t wanted_port,
                                  std::uint32_t lifetime_s, Time deadline,
                                  const base::StopToken& stop);
  absl::StatusOr<PortMapping> map_by_pcp(std::uint16_t wanted_port, Time deadline,
                                         const base::StopToken& stop);
  absl::StatusOr<PortMapping> map_by_nat_pmp(std::uint16_t wanted_port, Time deadline,
                                             const base::StopToken& stop);

  const PortMapperOptions options_;
  PcpNonce nonce_{};
  RouterOffers offers_;
  EpochWatch epoch_;
  bool forgotten_ = false;
};

}  // namespace shoal::net
