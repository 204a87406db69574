// SPDX-License-Identifier: Apache-2.0
#include "dht/packet.h"

#include <sodium.h>

#include <algorithm>

#include "dht/sodium.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

enum : std::uint8_t { kHello = 1, kChallenge = 2, kHandshake = 3, kMessage = 4 };

template <std::size_t N>
void put(std::string& out, const std::array<std::uint8_t, N>& bytes) {
  out.append(bytes.begin(), bytes.end());
}

void put_u64(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

template <std::size_t N>
void take(std::string_view& in, std::array<std::uint8_t, N>& bytes) {
  std::copy_n(as_bytes(in), N, bytes.begin());
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

std::string encode(const HelloPacket& packet) {
  std::string out(1, kHello);
  put(out, packet.id);
  put(out, packet.destination.bytes);
  return out;
}

std::string encode(const ChallengePacket& packet) {
  std::string out(1, kChallenge);
  put(out, packet.echo);
  put(out, packet.cookie);
  put(out, packet.key.bytes);
  return out;
}

std::string encode_header(const HandshakePacket& packet) {
  std::string out(1, kHandshake);
  put(out, packet.echo);
  put(out, packet.cookie);
  put(out, packet.key.bytes);
  put(out, packet.ephemeral);
  put(out, packet.signature.bytes);
  return out;
}

std::string encode_header(const MessagePacket& packet) {
  std::string out(1, kMessage);
  put_u64(out, packet.session);
  put_u64(out, packet.counter);
  put(out, packet.destination);
  return out;
}

PeerMark mark_of(const proto::PeerId& peer) {
  PeerMark mark;
  std::copy_n(peer.bytes.begin(), mark.size(), mark.begin());
  return mark;
}

Echo echo_of(const MessagePacket& packet) {
  const std::string header = encode_header(packet);
  Echo echo;
  std::copy_n(header.begin() + 1, echo.size(), echo.begin());
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
      take(plain, packet.echo);
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
    default:
      return std::nullopt;
  }
}

Seal::Seal(const std::optional<SwarmKey>& swarm_key) {
  ensure_sodium();
  if (swarm_key) root_ = swarm_key->bytes;
  key_ = derive("shoal-dht-seal-v1");
}

std::array<std::uint8_t, 32> Seal::derive(std::string_view purpose) const {
  std::array<std::uint8_t, 32> key;
  crypto_generichash(key.data(), key.size(), as_bytes(purpose), purpose.size(), root_.data(),
                     root_.size());
  return key;
}

std::string Seal::close(std::string_view plain, Random& random) const {
  const auto nonce = random.bytes<kSealNonceBytes>();
  std::string out(kSealBytes + plain.size(), '\0');
  std::copy(nonce.begin(), nonce.end(), out.begin());
  crypto_aead_xchacha20poly1305_ietf_encrypt(
      reinterpret_cast<std::uint8_t*>(out.data()) + kSealNonceBytes, nullptr, as_bytes(plain),
      plain.size(), nullptr, 0, nullptr, nonce.data(), key_.data());
  return out;
}

std::optional<std::string> Seal::open(std::string_view datagram) const {
  if (datagram.size() <= kSealBytes || datagram.size() > proto::kMaxDatagramBytes)
    return std::nullopt;
  std::string plain(datagram.size() - kSealBytes, '\0');
  const std::string_view sealed = datagram.substr(kSealNonceBytes);
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          reinterpret_cast<std::uint8_t*>(plain.data()), nullptr, nullptr, as_bytes(sealed),
          sealed.size(), nullptr, 0, as_bytes(datagram), key_.data()) != 0) {
    return std::nullopt;
  }
  return plain;
}

}  // namespace shoal::dht
