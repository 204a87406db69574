// SPDX-License-Identifier: Apache-2.0
// The cryptography of the DHT as a table of functions: key pairs, signatures, key exchange, keyed
// hashes, AEAD. Which table a program gets is decided by what it links: shoal_dht gives
// libsodium's, and has no switch; a simulator of 100,000 peers links shoal_dht_core and a model of
// its own with the same sizes. Stateless; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace shoal::identity {

using Bytes32 = std::array<std::uint8_t, 32>;
using Bytes64 = std::array<std::uint8_t, 64>;
using AeadNonce = std::array<std::uint8_t, 24>;

inline constexpr std::size_t kAeadTagBytes = 16;

struct Primitives {
  // Ed25519. The secret is libsodium's form: seed || public key.
  void (*key_pair)(const Bytes32& seed, Bytes32& public_key, Bytes64& secret);
  void (*sign)(const Bytes64& secret, std::string_view text, Bytes64& signature);
  bool (*verify)(const Bytes32& public_key, std::string_view text, const Bytes64& signature);

  // X25519. Both kinds of a signing key have a form for exchange; false: a key of small order.
  bool (*exchange_key_of)(const Bytes32& public_key, Bytes32& exchange_key);
  void (*exchange_secret_of)(const Bytes64& secret, Bytes32& exchange_secret);
  void (*exchange_pair)(const Bytes32& exchange_secret, Bytes32& exchange_key);
  bool (*exchange)(const Bytes32& exchange_secret, const Bytes32& exchange_key, Bytes32& shared);

  // BLAKE2b of 16 to 64 bytes.
  void (*mac)(const Bytes32& key, std::string_view text, std::span<std::uint8_t> out);

  // XChaCha20-Poly1305. `out` holds plain.size() + kAeadTagBytes, or ciphertext.size() -
  // kAeadTagBytes, and may be where the input is.
  void (*seal)(const Bytes32& key, const AeadNonce& nonce, std::string_view header,
               std::string_view plain, std::uint8_t* out);
  bool (*open)(const Bytes32& key, const AeadNonce& nonce, std::string_view header,
               std::string_view ciphertext, std::uint8_t* out);
};

const Primitives& primitives();         // of this program: primitives.cc, or the simulator's
const Primitives& sodium_primitives();  // the real ones

}  // namespace shoal::identity
