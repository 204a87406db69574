// SPDX-License-Identifier: Apache-2.0
#include "dht/session_keys.h"

#include <sodium.h>

#include <algorithm>

#include "dht/sodium.h"

namespace shoal::dht {
namespace {

constexpr std::string_view kHandshakeDomain = "shoal-dht-handshake-v1";
using Bytes32 = std::array<std::uint8_t, 32>;

std::string signed_text(const Cookie& cookie, const Bytes32& ephemeral,
                        const proto::PeerId& destination) {
  std::string text(cookie.begin(), cookie.end());
  text.append(ephemeral.begin(), ephemeral.end());
  return text + destination.to_bytes();
}

SessionKeys derive(const Bytes32& shared, const Bytes32& swarm_secret, const Cookie& cookie,
                   const Bytes32& ephemeral, const proto::PeerId& initiator,
                   const proto::PeerId& responder) {
  std::string text(shared.begin(), shared.end());
  text += signed_text(cookie, ephemeral, responder);
  text += initiator.to_bytes();
  const auto expand = [&](char label) {
    std::array<std::uint8_t, 64> out;
    const std::string input = "shoal-dht-session-v1" + std::string(1, label) + text;
    crypto_generichash(out.data(), out.size(), as_bytes(input), input.size(), swarm_secret.data(),
                       swarm_secret.size());
    return out;
  };
  SessionKeys keys;
  const auto first = expand('k');
  std::copy_n(first.begin(), 32, keys.to_responder.begin());
  std::copy_n(first.begin() + 32, 32, keys.to_initiator.begin());
  const auto second = expand('s');
  const auto number = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | second[at + i];
    return value;
  };
  keys.responder_session = number(0);
  keys.initiator_session = number(8);
  return keys;
}

std::array<std::uint8_t, 24> nonce_of(std::uint64_t counter) {
  std::array<std::uint8_t, 24> nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[i] = static_cast<std::uint8_t>(counter >> (8 * i));
  return nonce;
}

}  // namespace

std::optional<Handshake> make_handshake(const Identity& self, const Bytes32& swarm_secret,
                                        const ChallengePacket& challenge, Random& random) {
  Bytes32 remote;  // refuses keys of small order
  if (crypto_sign_ed25519_pk_to_curve25519(remote.data(), challenge.key.bytes.data()) != 0)
    return std::nullopt;
  Bytes32 secret = random.bytes<32>();
  Handshake result;
  HandshakePacket& packet = result.packet;
  packet.echo = challenge.echo;
  packet.cookie = challenge.cookie;
  packet.key = self.public_key();
  crypto_scalarmult_curve25519_base(packet.ephemeral.data(), secret.data());
  Bytes32 shared;
  const int failed = crypto_scalarmult_curve25519(shared.data(), secret.data(), remote.data());
  sodium_memzero(secret.data(), secret.size());
  if (failed != 0) return std::nullopt;
  const proto::PeerId responder = peer_id_of(challenge.key);
  packet.signature =
      self.sign(kHandshakeDomain, signed_text(packet.cookie, packet.ephemeral, responder));
  result.keys =
      derive(shared, swarm_secret, packet.cookie, packet.ephemeral, self.peer_id(), responder);
  return result;
}

std::optional<SessionKeys> accept_handshake(const Identity& self, const Bytes32& swarm_secret,
                                            const HandshakePacket& packet) {
  if (!verify(packet.key, kHandshakeDomain,
              signed_text(packet.cookie, packet.ephemeral, self.peer_id()), packet.signature)) {
    return std::nullopt;
  }
  std::array<std::uint8_t, 64> full;  // libsodium's form of the secret key: seed || public key
  std::copy(self.seed().begin(), self.seed().end(), full.begin());
  std::copy(self.public_key().bytes.begin(), self.public_key().bytes.end(), full.begin() + 32);
  Bytes32 secret;
  crypto_sign_ed25519_sk_to_curve25519(secret.data(), full.data());
  Bytes32 shared;
  const int failed =
      crypto_scalarmult_curve25519(shared.data(), secret.data(), packet.ephemeral.data());
  sodium_memzero(full.data(), full.size());
  sodium_memzero(secret.data(), secret.size());
  if (failed != 0) return std::nullopt;
  return derive(shared, swarm_secret, packet.cookie, packet.ephemeral, peer_id_of(packet.key),
                self.peer_id());
}

std::string encrypt(const Bytes32& key, std::uint64_t counter, std::string_view header,
                    std::string_view plain) {
  const auto nonce = nonce_of(counter);
  std::string out(plain.size() + kTagBytes, '\0');
  crypto_aead_xchacha20poly1305_ietf_encrypt(reinterpret_cast<std::uint8_t*>(out.data()), nullptr,
                                             as_bytes(plain), plain.size(), as_bytes(header),
                                             header.size(), nullptr, nonce.data(), key.data());
  return out;
}

std::optional<std::string> decrypt(const Bytes32& key, std::uint64_t counter,
                                   std::string_view header, std::string_view ciphertext) {
  if (ciphertext.size() < kTagBytes) return std::nullopt;
  const auto nonce = nonce_of(counter);
  std::string plain(ciphertext.size() - kTagBytes, '\0');
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(
          reinterpret_cast<std::uint8_t*>(plain.data()), nullptr, nullptr, as_bytes(ciphertext),
          ciphertext.size(), as_bytes(header), header.size(), nonce.data(), key.data()) != 0) {
    return std::nullopt;
  }
  return plain;
}

}  // namespace shoal::dht
