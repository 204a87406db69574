// SPDX-License-Identifier: Apache-2.0
// A peer's certificate: the input as PEM, as DER, and as DER signed anew by a known key, which
// reaches what lies behind the signature check. Whoever is accepted must be the one known peer.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/check.h"
#include "identity/certificate.h"
#include "identity/identity.h"

namespace {

using namespace shoal;

const identity::Identity& known_peer() {
  static const identity::Identity identity =
      identity::Identity::from_seed(std::array<std::uint8_t, 32>{1});
  return identity;
}

identity::SwarmKey swarm_key() {
  identity::SwarmKey key;
  key.bytes.fill(1);
  return key;
}

void check(std::string_view pem) {
  for (const bool keyed : {false, true}) {
    const auto peer = identity::verify_certificate_at(
        pem, keyed ? std::optional(swarm_key()) : std::nullopt, 1'893'456'000);
    CHECK(!peer.ok() || *peer == known_peer().peer_id()) << "somebody else was accepted";
    CHECK(ERR_peek_error() == 0) << "an error is left for gRPC to find";
  }
}

std::string pem_of(std::string_view der) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio(bio, PEM_STRING_X509, "", reinterpret_cast<const unsigned char*>(der.data()),
                static_cast<long>(der.size()));
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  ERR_clear_error();
  return pem;
}

// The same content under a good signature; empty when it is no certificate at all.
std::string signed_anew(std::string_view der) {
  static EVP_PKEY* const key = EVP_PKEY_new_raw_private_key(
      EVP_PKEY_ED25519, nullptr, known_peer().seed().data(), known_peer().seed().size());
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509* certificate = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  std::string result;
  if (certificate != nullptr && X509_set_pubkey(certificate, key) == 1 &&
      X509_sign(certificate, key, nullptr) > 0) {
    unsigned char* out = nullptr;
    const int size = i2d_X509(certificate, &out);
    if (size > 0) result.assign(reinterpret_cast<char*>(out), static_cast<std::size_t>(size));
    OPENSSL_free(out);
  }
  X509_free(certificate);
  ERR_clear_error();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(input);
  check(pem_of(input));
  if (const std::string der = signed_anew(input); !der.empty()) check(pem_of(der));
  return 0;
}
