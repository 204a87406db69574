// SPDX-License-Identifier: Apache-2.0
// The cryptography of one session between an initiator and a responder: key agreement and AEAD.
// Pure functions. X25519 of a fresh key with the responder's identity key, BLAKE2b for keys,
// XChaCha20-Poly1305 for messages.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dht/identity.h"
#include "dht/packet.h"

namespace shoal::dht {

struct SessionKeys {
  std::array<std::uint8_t, 32> to_responder, to_initiator;
  std::uint64_t responder_session,
      initiator_session;  // by which the receiver of a message finds its session
};

struct Handshake {
  SessionKeys keys;
  HandshakePacket packet;  // without ciphertext
};

// The initiator's answer to a challenge. nullopt when the challenger's key is not a usable one.
std::optional<Handshake> make_handshake(const Identity& self,
                                        const std::array<std::uint8_t, 32>& swarm_secret,
                                        const ChallengePacket& challenge, Random& random);
// The responder's side: checks the signature. The cookie is the caller's to check.
std::optional<SessionKeys> accept_handshake(const Identity& self,
                                            const std::array<std::uint8_t, 32>& swarm_secret,
                                            const HandshakePacket& packet);

std::string encrypt(const std::array<std::uint8_t, 32>& key, std::uint64_t counter,
                    std::string_view header, std::string_view plain);
std::optional<std::string> decrypt(const std::array<std::uint8_t, 32>& key, std::uint64_t counter,
                                   std::string_view header, std::string_view ciphertext);

}  // namespace shoal::dht
