// SPDX-License-Identifier: Apache-2.0
#include <sodium.h>

#include "base/check.h"
#include "identity/primitives.h"
#include "identity/sodium.h"

namespace shoal::identity {
namespace {

static_assert(kAeadTagBytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);

// A struct, because in a unity build free functions named open and seal would meet others.
struct Sodium {
  static void key_pair(const Bytes32& seed, Bytes32& public_key, Bytes64& secret) {
    crypto_sign_seed_keypair(public_key.data(), secret.data(), seed.data());
  }

  static void sign(const Bytes64& secret, std::string_view text, Bytes64& signature) {
    crypto_sign_detached(signature.data(), nullptr, as_bytes(text), text.size(), secret.data());
  }

  static bool verify(const Bytes32& public_key, std::string_view text, const Bytes64& signature) {
    return crypto_sign_verify_detached(signature.data(), as_bytes(text), text.size(),
                                       public_key.data()) == 0;
  }

  static bool exchange_key_of(const Bytes32& public_key, Bytes32& exchange_key) {
    return crypto_sign_ed25519_pk_to_curve25519(exchange_key.data(), public_key.data()) == 0;
  }

  static void exchange_secret_of(const Bytes64& secret, Bytes32& exchange_secret) {
    crypto_sign_ed25519_sk_to_curve25519(exchange_secret.data(), secret.data());
  }

  static void exchange_pair(const Bytes32& exchange_secret, Bytes32& exchange_key) {
    crypto_scalarmult_curve25519_base(exchange_key.data(), exchange_secret.data());
  }

  static bool exchange(const Bytes32& exchange_secret, const Bytes32& exchange_key,
                       Bytes32& shared) {
    return crypto_scalarmult_curve25519(shared.data(), exchange_secret.data(),
                                        exchange_key.data()) == 0;
  }

  static void mac(const Bytes32& key, std::string_view text, std::span<std::uint8_t> out) {
    CHECK(out.size() >= crypto_generichash_BYTES_MIN && out.size() <= crypto_generichash_BYTES_MAX);
    crypto_generichash(out.data(), out.size(), as_bytes(text), text.size(), key.data(), key.size());
  }

  static void seal(const Bytes32& key, const AeadNonce& nonce, std::string_view header,
                   std::string_view plain, std::uint8_t* out) {
    crypto_aead_xchacha20poly1305_ietf_encrypt(out, nullptr, as_bytes(plain), plain.size(),
                                               as_bytes(header), header.size(), nullptr,
                                               nonce.data(), key.data());
  }

  static bool open(const Bytes32& key, const AeadNonce& nonce, std::string_view header,
                   std::string_view ciphertext, std::uint8_t* out) {
    return crypto_aead_xchacha20poly1305_ietf_decrypt(out, nullptr, nullptr, as_bytes(ciphertext),
                                                      ciphertext.size(), as_bytes(header),
                                                      header.size(), nonce.data(), key.data()) == 0;
  }
};

}  // namespace

const Primitives& sodium_primitives() {
  static const Primitives table = [] {
    ensure_sodium();
    return Primitives{.key_pair = Sodium::key_pair,
                      .sign = Sodium::sign,
                      .verify = Sodium::verify,
                      .exchange_key_of = Sodium::exchange_key_of,
                      .exchange_secret_of = Sodium::exchange_secret_of,
                      .exchange_pair = Sodium::exchange_pair,
                      .exchange = Sodium::exchange,
                      .mac = Sodium::mac,
                      .seal = Sodium::seal,
                      .open = Sodium::open};
  }();
  return table;
}

}  // namespace shoal::identity
