// SPDX-License-Identifier: Apache-2.0
// Datagrams as bytes: the seal that covers every datagram, and the four packets inside. Pure apart
// from the random nonce. Layouts: docs/protocol-dht.md. Parsing is total; views point into the
// parsed buffer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "dht/identity.h"
#include "dht/random.h"
#include "dht/swarm_key.h"

namespace shoal::dht {

using Echo = std::array<std::uint8_t, 16>;    // what a challenge answers to
using Cookie = std::array<std::uint8_t, 24>;  // a challenge, verifiable by its maker without memory

using PeerMark = std::array<std::uint8_t, 8>;  // the first bytes of a peer id
PeerMark mark_of(const proto::PeerId& peer);

inline constexpr std::size_t kSealNonceBytes = 24;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kSealBytes = kSealNonceBytes + kTagBytes;
inline constexpr std::size_t kHandshakeHeaderBytes = 1 + 16 + 24 + 32 + 32 + 64;
inline constexpr std::size_t kMessageHeaderBytes = 1 + 8 + 8 + 8;
// Plain bytes of a message: 960 always fit, also beside a handshake; answers come on sessions and
// have more room.
inline constexpr std::size_t kMaxRequestBytes = 960;
inline constexpr std::size_t kMaxAnswerBytes = 1200 - kSealBytes - kMessageHeaderBytes - kTagBytes;
static_assert(kSealBytes + kHandshakeHeaderBytes + kTagBytes + kMaxRequestBytes <= 1200);

struct HelloPacket {
  Echo id;
  proto::PeerId destination;  // all zero when only the address is known
};
struct ChallengePacket {
  Echo echo;
  Cookie cookie;
  PublicKey key;  // of the challenger, who proves it by answering in the session
};
struct HandshakePacket {
  Echo echo;
  Cookie cookie;
  PublicKey key;
  std::array<std::uint8_t, 32> ephemeral;
  Signature signature;  // over cookie || ephemeral || destination id
  std::string_view ciphertext;
  std::string_view header;  // authenticated with the ciphertext
};
struct MessagePacket {
  std::uint64_t session;
  std::uint64_t counter;
  std::string_view ciphertext;
  std::string_view header;
  PeerMark destination{};  // whose session it is, also when that peer has forgotten it
};
using Packet = std::variant<HelloPacket, ChallengePacket, HandshakePacket, MessagePacket>;

std::string encode(const HelloPacket& packet);
std::string encode(const ChallengePacket& packet);
std::string encode_header(const HandshakePacket& packet);  // the ciphertext is appended
std::string encode_header(const MessagePacket& packet);
Echo echo_of(const MessagePacket& packet);  // session || counter
std::optional<Packet> parse_packet(std::string_view plain);

// XChaCha20-Poly1305 under a key derived from the swarm key (or from nothing, in a public swarm): a
// datagram that was not made with the key does not open, whatever its bytes are.
class Seal {
 public:
  explicit Seal(const std::optional<SwarmKey>& swarm_key);
  std::string close(std::string_view plain, Random& random) const;
  std::optional<std::string> open(std::string_view datagram) const;
  // A further key of the same swarm, for another purpose.
  std::array<std::uint8_t, 32> derive(std::string_view purpose) const;

 private:
  std::array<std::uint8_t, 32> root_{};
  std::array<std::uint8_t, 32> key_{};
};

}  // namespace shoal::dht
