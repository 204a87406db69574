// SPDX-License-Identifier: Apache-2.0
// The cryptography between two peers: key agreement of sessions (an initiator that signs) and of
// questions (an asker that stays unnamed), and AEAD. Pure functions. X25519 of a short-lived key
// with the other's identity key, BLAKE2b for keys, XChaCha20-Poly1305 for messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dht/packet.h"
#include "identity/identity.h"
#include "identity/primitives.h"

namespace shoal::dht {

struct SessionKeys {
  identity::Bytes32 to_responder, to_initiator;
  std::uint64_t responder_session,
      initiator_session;  // by which the receiver of a message finds its session
};

struct Handshake {
  SessionKeys keys;
  HandshakePacket packet;  // without ciphertext
};

// The initiator's use of a cookie of `responder`. nullopt when that key is not a usable one.
std::optional<Handshake> make_handshake(const identity::Identity& self,
                                        const identity::Bytes32& swarm_secret,
                                        const identity::PublicKey& responder, const Cookie& cookie,
                                        identity::Random& random);
// The responder's side: checks the signature. The cookie is the caller's to check.
std::optional<SessionKeys> accept_handshake(const identity::Identity& self,
                                            const identity::Bytes32& exchange_secret,
                                            const identity::Bytes32& swarm_secret,
                                            const HandshakePacket& packet);

struct QuestionKeys {
  identity::Bytes32 to_answerer, to_asker;
};
std::optional<QuestionKeys> asker_keys(const identity::Bytes32& swarm_secret,
                                       const identity::Bytes32& ephemeral_secret,
                                       const identity::Bytes32& ephemeral,
                                       const identity::PublicKey& answerer);
std::optional<QuestionKeys> answerer_keys(const identity::Bytes32& swarm_secret,
                                          const identity::Bytes32& exchange_secret,
                                          const identity::Bytes32& ephemeral,
                                          const identity::PublicKey& answerer);

identity::AeadNonce message_nonce(std::uint64_t counter);
identity::AeadNonce question_nonce(const Echo& echo);
// A question that is answered twice must not use one nonce for two texts: the time and the random
// part of the cookie are in it.
identity::AeadNonce reply_nonce(const Echo& echo, const Cookie& cookie);

std::optional<std::string> decrypt(const identity::Bytes32& key, const identity::AeadNonce& nonce,
                                   std::string_view header, std::string_view ciphertext);

}  // namespace shoal::dht
