// SPDX-License-Identifier: Apache-2.0
// The messages between a relay and the ends that it connects, as bytes and as plain values. Pure;
// what comes from outside is bounded and checked. docs/protocol-relay.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::proto {

// ALPN's name.
inline constexpr char kTunnelProtocol[] = "shoal-tunnel/1";

// To park, and perhaps to be given to a caller after all others; or, with a target, to be connected
// with it.
struct TunnelRequest {
  std::optional<PeerId> target = std::nullopt;
  bool last = false;
  friend bool operator==(const TunnelRequest&, const TunnelRequest&) = default;
};

// On the wire by number: new ones are added at the end.
enum class TunnelRefusal : std::uint8_t {
  kNone,
  kNotParked,   // nobody of that name
  kFull,        // of parked peers or tunnels, in all
  kYourShare,   // of them, or of calls in a time: of the peer that asks
  kTheirShare,  // likewise: of the peer that is called
  kStopping,    // the relay
  kCount,
};
const char* words_of(TunnelRefusal refusal);  // "it has ..."

struct TunnelReply {
  enum class Kind : std::uint8_t { kParked, kStart, kOpen, kRefused };
  Kind kind = Kind::kRefused;
  // kParked, kOpen: where the connection comes from. kStart: where the caller's does.
  Endpoint endpoint;
  TunnelRefusal refusal = TunnelRefusal::kNone;  // of a later version: kCount
  std::uint32_t retry_ms = 0;
  friend bool operator==(const TunnelReply&, const TunnelReply&) = default;
};

// With their size before them.
std::string encode_tunnel_request(const TunnelRequest& request);
std::string encode_tunnel_reply(const TunnelReply& reply);
// Without it.
absl::StatusOr<TunnelRequest> decode_tunnel_request(std::string_view bytes);
absl::StatusOr<TunnelReply> decode_tunnel_reply(std::string_view bytes);

}  // namespace shoal::proto
