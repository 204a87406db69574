// SPDX-License-Identifier: Apache-2.0
// PCP, the Port Control Protocol (RFC 6887), as far as a node needs it: MAP requests and their
// replies as bytes, and the rule by which a router that lost its mappings is noticed. Pure; parsing
// is total. Integers are big endian on the wire.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "proto/endpoint.h"

namespace shoal::net {

inline constexpr std::uint16_t kPcpPort = 5351;  // of NAT-PMP too
inline constexpr std::size_t kPcpMapBytes = 60;  // a request, and its reply without options
inline constexpr std::uint8_t kPcpTcp = 6, kPcpUdp = 17;

using PcpNonce = std::array<std::uint8_t, 12>;  // names a mapping, and proves that it is ours

struct PcpMapRequest {
  proto::Endpoint client;  // our address as the router sees it, with the port that is mapped
  PcpNonce nonce{};        // the same for a mapping's whole life
  std::uint8_t protocol = kPcpTcp;
  proto::Endpoint wanted;  // outside: the port we would like, and the address or the unspecified
  std::uint32_t lifetime_s = 0;  // 0: no mapping any more
};
std::array<std::uint8_t, kPcpMapBytes> pcp_map_request(const PcpMapRequest& request);

struct PcpReply {
  std::uint8_t version = 0;  // 0: the router speaks NAT-PMP only
  std::uint8_t result = 0;   // 0: success
  std::uint32_t lifetime_s = 0;
  std::uint32_t epoch_s = 0;  // since the router's state began
  PcpNonce nonce{};
  std::uint8_t protocol = 0;
  std::uint16_t internal_port = 0;
  proto::Endpoint external;  // port 0 in a refusal
};
// nullopt: no reply to a MAP request. One of version 0 has its version and result only.
std::optional<PcpReply> parse_pcp_reply(std::string_view bytes);

// What a result means, for people: "the router does not allow it".
const char* pcp_result_words(std::uint8_t result);

// Watches the router's epoch: true when it has lost its mappings since the last time (RFC 6887,
// 8.5), NAT-PMP's counts alike.
class EpochWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;
  bool lost(std::uint32_t epoch_s, Time now);

 private:
  bool known_ = false;
  std::uint32_t epoch_s_ = 0;
  Time at_{};
};

}  // namespace shoal::net
