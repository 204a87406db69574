// SPDX-License-Identifier: Apache-2.0
// A peer's identity: an Ed25519 key pair, kept in a file of mode 0600 that holds the 32-byte seed
// in hex. Immutable after construction, may be shared between threads.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "proto/types.h"

namespace shoal::identity {

using PublicKey = proto::FixedBytes<32, struct PublicKeyTag>;
using Signature = proto::FixedBytes<64, struct SignatureTag>;

proto::PeerId peer_id_of(const PublicKey& key);  // SHA-256

class Identity {
 public:
  static Identity generate();  // from the system's randomness
  static Identity from_seed(std::span<const std::uint8_t, 32> seed);  // for tests and simulation
  // Reads the file, or makes it (0600, never overwriting). Refuses files that others can read.
  static absl::StatusOr<Identity> load_or_create(const std::string& path);

  const PublicKey& public_key() const { return public_key_; }
  const proto::PeerId& peer_id() const { return peer_id_; }
  // The libsodium seed, which is also OpenSSL's raw private key.
  std::span<const std::uint8_t, 32> seed() const { return std::span(secret_).first<32>(); }
  // The X25519 secret whose public half everybody can compute from public_key().
  std::array<std::uint8_t, 32> exchange_secret() const;
  Signature sign(std::string_view domain, std::string_view message) const;

 private:
  Identity() = default;
  std::array<std::uint8_t, 64> secret_{};  // libsodium form: seed || public key
  PublicKey public_key_;
  proto::PeerId peer_id_;
};

// Domain separates the uses of one key: the signature covers domain || message.
bool verify(const PublicKey& key, std::string_view domain, std::string_view message,
            const Signature& signature);

}  // namespace shoal::identity
