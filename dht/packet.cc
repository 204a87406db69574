// SPDX-License-Identifier: Apache-2.0
#include "dht/packet.h"

#include <algorithm>

#include "base/check.h"
#include "identity/sodium.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

enum : std::uint8_t {
  kHello = 1,
  kChallenge = 2,
  kHandshake = 3,
  kMessage = 4,
  kQuestion = 5,
  kReply = 6
};

template <std::size_t N>
void put(std::string& out, const std::array<std::uint8_t, N>& bytes) {
  out.append(bytes.begin(), bytes.end());
}

void put_u64(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

template <std::size_t N>
void take(std::string_view& in, std::array<std::uint8_t, N>& bytes) {
  std::copy_n(identity::as_bytes(in), N, bytes.begin());
  in.remove_prefix(N);
}

std::uint64_t take_u64(std::string_view& in) {
  std::array<std::uint8_t, 8> bytes;
  take(in, bytes);
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

}  // namespace

std::string begin_datagram(std::size_t packet_bytes) {
  std::string out;
  out.reserve(kSealBytes + packet_bytes);
  out.resize(kSealNonceBytes);
  return out;
}

void append(std::string& out, const HelloPacket& packet) {
  out += static_cast<char>(kHello);
  put(out, packet.id);
  put(out, packet.destination.bytes);
}

void append(std::string& out, const ChallengePacket& packet) {
  out += static_cast<char>(kChallenge);
  put(out, packet.echo);
  put(out, packet.cookie);
  put(out, packet.key.bytes);
}

void append(std::string& out, const HandshakePacket& packet) {
  out += static_cast<char>(kHandshake);
  put(out, packet.cookie);
  put(out, packet.key.bytes);
  put(out, packet.ephemeral);
  put(out, packet.signature.bytes);
}

void append(std::string& out, const MessagePacket& packet) {
  out += static_cast<char>(kMessage);
  put_u64(out, packet.session);
  put_u64(out, packet.counter);
  put(out, packet.destination);
}

void append(std::string& out, const QuestionPacket& packet) {
  out += static_cast<char>(kQuestion);
  put(out, packet.echo);
  put(out, packet.destination);
  put(out, packet.ephemeral);
  put(out, packet.cookie);
}

void append(std::string& out, const ReplyPacket& packet) {
  out += static_cast<char>(kReply);
  put(out, packet.echo);
  put(out, packet.cookie);
}

void encrypt_tail(std::string& out, std::size_t plain_at, const identity::Bytes32& key,
                  const identity::AeadNonce& nonce) {
  const std::size_t plain_bytes = out.size() - plain_at;
  out.resize(out.size() + kTagBytes);
  const std::string_view all = out;
  identity::primitives().seal(key, nonce, all.substr(kSealNonceBytes, plain_at - kSealNonceBytes),
                              all.substr(plain_at, plain_bytes),
                              reinterpret_cast<std::uint8_t*>(out.data()) + plain_at);
}

PeerMark mark_of(const proto::PeerId& peer) {
  PeerMark mark;
  std::copy_n(peer.bytes.begin(), mark.size(), mark.begin());
  return mark;
}

Echo echo_of(const MessagePacket& packet) {
  Echo echo;
  for (std::size_t i = 0; i < 8; ++i) {
    echo[i] = static_cast<std::uint8_t>(packet.session >> (56 - 8 * i));
    echo[8 + i] = static_cast<std::uint8_t>(packet.counter >> (56 - 8 * i));
  }
  return echo;
}

std::optional<Packet> parse_packet(std::string_view plain) {
  if (plain.empty()) return std::nullopt;
  const std::string_view whole = plain;
  const auto type = static_cast<std::uint8_t>(plain[0]);
  plain.remove_prefix(1);
  switch (type) {
    case kHello: {
      HelloPacket packet;
      if (plain.size() != 48) return std::nullopt;
      take(plain, packet.id);
      take(plain, packet.destination.bytes);
      return packet;
    }
    case kChallenge: {
      ChallengePacket packet;
      if (plain.size() != 72) return std::nullopt;
      take(plain, packet.echo);
      take(plain, packet.cookie);
      take(plain, packet.key.bytes);
      return packet;
    }
    case kHandshake: {
      HandshakePacket packet;
      if (whole.size() < kHandshakeHeaderBytes + kTagBytes) return std::nullopt;
      take(plain, packet.cookie);
      take(plain, packet.key.bytes);
      take(plain, packet.ephemeral);
      take(plain, packet.signature.bytes);
      packet.ciphertext = plain;
      packet.header = whole.substr(0, kHandshakeHeaderBytes);
      return packet;
    }
    case kMessage: {
      MessagePacket packet;
      if (whole.size() < kMessageHeaderBytes + kTagBytes) return std::nullopt;
      packet.session = take_u64(plain);
      packet.counter = take_u64(plain);
      take(plain, packet.destination);
      packet.ciphertext = plain;
      packet.header = whole.substr(0, kMessageHeaderBytes);
      return packet;
    }
    case kQuestion: {
      QuestionPacket packet;
      if (whole.size() < kQuestionHeaderBytes + kTagBytes) return std::nullopt;
      take(plain, packet.echo);
      take(plain, packet.destination);
      take(plain, packet.ephemeral);
      take(plain, packet.cookie);
      packet.ciphertext = plain;
      packet.header = whole.substr(0, kQuestionHeaderBytes);
      return packet;
    }
    case kReply: {
      ReplyPacket packet;
      if (whole.size() < kReplyHeaderBytes + kTagBytes) return std::nullopt;
      take(plain, packet.echo);
      take(plain, packet.cookie);
      packet.ciphertext = plain;
      packet.header = whole.substr(0, kReplyHeaderBytes);
      return packet;
    }
    default:
      return std::nullopt;
  }
}

Seal::Seal(const std::optional<identity::SwarmKey>& swarm_key) {
  if (swarm_key) root_ = swarm_key->bytes;
  key_ = derive("shoal-dht-seal-v1");
}

identity::Bytes32 Seal::derive(std::string_view purpose) const {
  identity::Bytes32 key;
  identity::primitives().mac(root_, purpose, key);
  return key;
}

void Seal::close(std::string& datagram, identity::Random& random) const {
  const auto nonce = random.bytes<kSealNonceBytes>();
  std::copy(nonce.begin(), nonce.end(), datagram.begin());
  const std::size_t plain_bytes = datagram.size() - kSealNonceBytes;
  datagram.resize(datagram.size() + kTagBytes);
  identity::primitives().seal(key_, nonce, {},
                              std::string_view(datagram).substr(kSealNonceBytes, plain_bytes),
                              reinterpret_cast<std::uint8_t*>(datagram.data()) + kSealNonceBytes);
}

std::optional<std::string_view> Seal::open(std::string_view datagram,
                                           std::span<char> buffer) const {
  if (datagram.size() <= kSealBytes || datagram.size() > proto::kMaxDatagramBytes)
    return std::nullopt;
  CHECK(buffer.size() >= datagram.size() - kSealBytes) << buffer.size();
  identity::AeadNonce nonce;
  std::copy_n(identity::as_bytes(datagram), nonce.size(), nonce.begin());
  if (!identity::primitives().open(key_, nonce, {}, datagram.substr(kSealNonceBytes),
                                   reinterpret_cast<std::uint8_t*>(buffer.data()))) {
    return std::nullopt;
  }
  return std::string_view(buffer.data(), datagram.size() - kSealBytes);
}

}  // namespace shoal::dht
