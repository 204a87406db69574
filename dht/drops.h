// SPDX-License-Identifier: Apache-2.0
// Why something that came from outside was refused: counted here by reason, never logged per
// packet. Plain value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shoal::dht {

enum class Drop : std::uint8_t {
  kSource,         // from an address that nobody can be answered at
  kSize,           // empty, or longer than a datagram may be
  kSeal,           // not made with the key of this swarm, or damaged
  kPacket,         // no packet of this version has such a type and length
  kReplay,         // these bytes were here before
  kOtherPeer,      // meant for somebody else
  kClientMode,     // a request, and we answer none
  kCookie,         // a handshake without a proof of its address
  kSignature,      // a handshake that its signer did not make
  kCiphertext,     // does not open under the keys it claims
  kCounter,        // a message of a session that was here before, or is too old
  kUnasked,        // a challenge, reply or answer to nothing that is open
  kSourceRate,     // too many packets of one unproven address
  kNetworkRate,    // too many packets of one unproven /24 (IPv6: /48)
  kHandshakeRate,  // too many handshakes of one /24 (IPv6: /48)
  kPeerRate,       // too many messages of one peer
  kBudget,         // all that may be sent to unproven addresses is sent
  kBanned,         // of somebody who misbehaved lately
  kBody,           // authentic, and not a message that fits its place
  kSendBounds,     // ours: a message that found no room to wait for its handshake
  kCount,
};
// In snake_case, as a label of metrics.
std::string_view to_string(Drop reason);

class DropCounts {
 public:
  void add(Drop reason) { ++counts_[static_cast<std::size_t>(reason)]; }
  std::uint64_t operator[](Drop reason) const { return counts_[static_cast<std::size_t>(reason)]; }
  DropCounts& operator+=(const DropCounts& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    return *this;
  }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }

 private:
  std::array<std::uint64_t, static_cast<std::size_t>(Drop::kCount)> counts_{};
};

}  // namespace shoal::dht
