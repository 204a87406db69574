// SPDX-License-Identifier: Apache-2.0
#include "dht/session_keys.h"

#include <sodium/utils.h>

#include <algorithm>

#include "identity/sodium.h"

namespace shoal::dht {
namespace {

constexpr std::string_view kHandshakeDomain = "shoal-dht-handshake-v1";
constexpr std::string_view kSessionDomain = "shoal-dht-session-v1";
constexpr std::string_view kQuestionDomain = "shoal-dht-question-v1";

template <std::size_t N>
std::string_view view(const std::array<std::uint8_t, N>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), N};
}

std::string signed_text(const Cookie& cookie, const identity::Bytes32& ephemeral,
                        const proto::PeerId& destination) {
  std::string text(view(cookie));
  text += view(ephemeral);
  text += view(destination.bytes);
  return text;
}

SessionKeys derive(const identity::Bytes32& shared, const identity::Bytes32& swarm_secret,
                   const Cookie& cookie, const identity::Bytes32& ephemeral,
                   const proto::PeerId& initiator, const proto::PeerId& responder) {
  std::string text(kSessionDomain);
  text += '\0';  // the label
  text += view(shared);
  text += signed_text(cookie, ephemeral, responder);
  text += view(initiator.bytes);
  const auto expand = [&](char label) {
    text[kSessionDomain.size()] = label;
    identity::Bytes64 out;
    identity::primitives().mac(swarm_secret, text, out);
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

QuestionKeys derive(const identity::Bytes32& shared, const identity::Bytes32& swarm_secret,
                    const identity::Bytes32& ephemeral, const identity::PublicKey& answerer) {
  std::string text(kQuestionDomain);
  text += view(shared);
  text += view(ephemeral);
  text += view(answerer.bytes);
  identity::Bytes64 out;
  identity::primitives().mac(swarm_secret, text, out);
  QuestionKeys keys;
  std::copy_n(out.begin(), 32, keys.to_answerer.begin());
  std::copy_n(out.begin() + 32, 32, keys.to_asker.begin());
  return keys;
}

}  // namespace

std::optional<Handshake> make_handshake(const identity::Identity& self,
                                        const identity::Bytes32& swarm_secret,
                                        const identity::PublicKey& responder, const Cookie& cookie,
                                        identity::Random& random) {
  identity::Bytes32 remote;
  if (!identity::primitives().exchange_key_of(responder.bytes, remote)) return std::nullopt;
  identity::Bytes32 secret = random.bytes<32>();
  Handshake result;
  HandshakePacket& packet = result.packet;
  packet.cookie = cookie;
  packet.key = self.public_key();
  identity::primitives().exchange_pair(secret, packet.ephemeral);
  identity::Bytes32 shared;
  const bool good = identity::primitives().exchange(secret, remote, shared);
  sodium_memzero(secret.data(), secret.size());
  if (!good) return std::nullopt;
  const proto::PeerId peer = identity::peer_id_of(responder);
  packet.signature =
      self.sign(kHandshakeDomain, signed_text(packet.cookie, packet.ephemeral, peer));
  result.keys = derive(shared, swarm_secret, packet.cookie, packet.ephemeral, self.peer_id(), peer);
  return result;
}

std::optional<SessionKeys> accept_handshake(const identity::Identity& self,
                                            const identity::Bytes32& exchange_secret,
                                            const identity::Bytes32& swarm_secret,
                                            const HandshakePacket& packet) {
  if (!identity::verify(packet.key, kHandshakeDomain,
                        signed_text(packet.cookie, packet.ephemeral, self.peer_id()),
                        packet.signature)) {
    return std::nullopt;
  }
  identity::Bytes32 shared;
  if (!identity::primitives().exchange(exchange_secret, packet.ephemeral, shared))
    return std::nullopt;
  return derive(shared, swarm_secret, packet.cookie, packet.ephemeral,
                identity::peer_id_of(packet.key), self.peer_id());
}

std::optional<QuestionKeys> asker_keys(const identity::Bytes32& swarm_secret,
                                       const identity::Bytes32& ephemeral_secret,
                                       const identity::Bytes32& ephemeral,
                                       const identity::PublicKey& answerer) {
  identity::Bytes32 remote, shared;
  if (!identity::primitives().exchange_key_of(answerer.bytes, remote) ||
      !identity::primitives().exchange(ephemeral_secret, remote, shared)) {
    return std::nullopt;
  }
  return derive(shared, swarm_secret, ephemeral, answerer);
}

std::optional<QuestionKeys> answerer_keys(const identity::Bytes32& swarm_secret,
                                          const identity::Bytes32& exchange_secret,
                                          const identity::Bytes32& ephemeral,
                                          const identity::PublicKey& answerer) {
  identity::Bytes32 shared;
  if (!identity::primitives().exchange(exchange_secret, ephemeral, shared)) return std::nullopt;
  return derive(shared, swarm_secret, ephemeral, answerer);
}

identity::AeadNonce message_nonce(std::uint64_t counter) {
  identity::AeadNonce nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[i] = static_cast<std::uint8_t>(counter >> (8 * i));
  return nonce;
}

identity::AeadNonce question_nonce(const Echo& echo) {
  identity::AeadNonce nonce{};
  std::copy(echo.begin(), echo.end(), nonce.begin());
  return nonce;
}

identity::AeadNonce reply_nonce(const Echo& echo, const Cookie& cookie) {
  identity::AeadNonce nonce = question_nonce(echo);
  std::copy_n(cookie.begin(), 8, nonce.begin() + echo.size());
  return nonce;
}

std::optional<std::string> decrypt(const identity::Bytes32& key, const identity::AeadNonce& nonce,
                                   std::string_view header, std::string_view ciphertext) {
  if (ciphertext.size() < kTagBytes) return std::nullopt;
  std::string plain(ciphertext.size() - kTagBytes, '\0');
  if (!identity::primitives().open(key, nonce, header, ciphertext,
                                   reinterpret_cast<std::uint8_t*>(plain.data()))) {
    return std::nullopt;
  }
  return plain;
}

}  // namespace shoal::dht
