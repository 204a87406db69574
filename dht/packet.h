// SPDX-License-Identifier: Apache-2.0
// Datagrams as bytes: the seal that covers every datagram, and the six packets inside. Pure apart
// from the random nonce. Layouts: docs/protocol-dht.md. Parsing is total; views point into the
// parsed buffer. What is sent is built in one string, without copies.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "identity/identity.h"
#include "identity/primitives.h"
#include "identity/random.h"
#include "identity/swarm_key.h"

namespace shoal::dht {

using Echo = std::array<std::uint8_t, 16>;    // names what is answered
using Cookie = std::array<std::uint8_t, 24>;  // proof of an address, verifiable without memory

using PeerMark = std::array<std::uint8_t, 8>;  // the first bytes of a peer id
PeerMark mark_of(const proto::PeerId& peer);

inline constexpr std::size_t kSealNonceBytes = 24;
inline constexpr std::size_t kTagBytes = identity::kAeadTagBytes;
inline constexpr std::size_t kSealBytes = kSealNonceBytes + kTagBytes;
inline constexpr std::size_t kHandshakeHeaderBytes = 1 + 24 + 32 + 32 + 64;
inline constexpr std::size_t kMessageHeaderBytes = 1 + 8 + 8 + 8;
inline constexpr std::size_t kQuestionHeaderBytes = 1 + 16 + 8 + 32 + 24;
inline constexpr std::size_t kReplyHeaderBytes = 1 + 16 + 24;
inline constexpr std::size_t kChallengeDatagramBytes = kSealBytes + 1 + 16 + 24 + 32;
// A datagram that carries a reply with an empty message.
inline constexpr std::size_t kEmptyReplyBytes = kSealBytes + kReplyHeaderBytes + kTagBytes;
// Plain bytes of a message: a request always fits, also beside a handshake and in a question;
// answers have more room.
inline constexpr std::size_t kMaxRequestBytes = 960;
inline constexpr std::size_t kMaxAnswerBytes = 1200 - kSealBytes - kMessageHeaderBytes - kTagBytes;
inline constexpr std::size_t kMaxReplyBytes = 1200 - kEmptyReplyBytes;
static_assert(kSealBytes + kHandshakeHeaderBytes + kTagBytes + kMaxRequestBytes <= 1200);
static_assert(kSealBytes + kQuestionHeaderBytes + 2 + kTagBytes + kMaxRequestBytes <= 1200);

struct HelloPacket {
  Echo id;
  proto::PeerId destination;  // all zero when only the address is known
};
struct ChallengePacket {
  Echo echo;
  Cookie cookie;
  identity::PublicKey key;  // of the challenger, who proves it by answering in the session
};
struct HandshakePacket {
  Cookie cookie;
  identity::PublicKey key;
  identity::Bytes32 ephemeral;
  identity::Signature signature;  // over cookie || ephemeral || destination id
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
struct QuestionPacket {
  Echo echo;
  PeerMark destination{};
  identity::Bytes32 ephemeral;
  Cookie cookie{};  // all zero: none
  std::string_view ciphertext;
  std::string_view header;
};
struct ReplyPacket {
  Echo echo;
  Cookie cookie;
  std::string_view ciphertext;
  std::string_view header;
};
using Packet = std::variant<HelloPacket, ChallengePacket, HandshakePacket, MessagePacket,
                            QuestionPacket, ReplyPacket>;

// A string with room for the seal's nonce; a packet of that many bytes is appended without another
// allocation.
std::string begin_datagram(std::size_t packet_bytes);
void append(std::string& out, const HelloPacket& packet);
void append(std::string& out, const ChallengePacket& packet);
// Headers: what is encrypted follows.
void append(std::string& out, const HandshakePacket& packet);
void append(std::string& out, const MessagePacket& packet);
void append(std::string& out, const QuestionPacket& packet);
void append(std::string& out, const ReplyPacket& packet);
// Encrypts out[plain_at, end) in its place, with out[kSealNonceBytes, plain_at) authenticated
// beside it.
void encrypt_tail(std::string& out, std::size_t plain_at, const identity::Bytes32& key,
                  const identity::AeadNonce& nonce);

Echo echo_of(const MessagePacket& packet);  // session || counter
std::optional<Packet> parse_packet(std::string_view plain);

// XChaCha20-Poly1305 under a key derived from the swarm key (or from nothing, in a public swarm): a
// datagram that was not made with the key does not open, whatever its bytes are.
class Seal {
 public:
  explicit Seal(const std::optional<identity::SwarmKey>& swarm_key);
  // Of what begin_datagram() began.
  void close(std::string& datagram, identity::Random& random) const;
  // Views into `buffer`, which holds at least what the datagram does; nullopt: not of this swarm.
  std::optional<std::string_view> open(std::string_view datagram, std::span<char> buffer) const;
  // A further key of the same swarm, for another purpose.
  identity::Bytes32 derive(std::string_view purpose) const;

 private:
  identity::Bytes32 root_{};
  identity::Bytes32 key_{};
};

}  // namespace shoal::dht
