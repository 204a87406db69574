// SPDX-License-Identifier: Apache-2.0
#include "identity/certificate.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>
#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace shoal::identity {
namespace {

template <auto F>
struct Deleter {
  template <typename T>
  void operator()(T* p) const {
    F(p);
  }
};
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using ObjectPtr = std::unique_ptr<ASN1_OBJECT, Deleter<ASN1_OBJECT_free>>;
using OctetsPtr = std::unique_ptr<ASN1_OCTET_STRING, Deleter<ASN1_OCTET_STRING_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;
using TimePtr = std::unique_ptr<ASN1_TIME, Deleter<ASN1_TIME_free>>;

// OpenSSL's error queue belongs to the thread, and gRPC reads it after its own calls: leave nothing
// there.
struct ErrorQueueGuard {
  ErrorQueueGuard() { ERR_set_mark(); }
  ~ErrorQueueGuard() { ERR_pop_to_mark(); }
};

using Proof = std::array<std::uint8_t, 32>;

// SubjectPublicKeyInfo of every Ed25519 key (RFC 8410): this prefix and the 32 bytes of the key.
constexpr std::array<std::uint8_t, 12> kSpkiPrefix = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                      0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
// DER of an OCTET STRING of 32 bytes starts with these.
constexpr std::array<std::uint8_t, 2> kProofPrefix = {0x04, 0x20};

constexpr char kNotBefore[] = "20200101000000Z";
constexpr char kNotAfter[] = "99991231235959Z";  // RFC 5280, 4.1.2.5: no expiration date

std::string spki_of(const PublicKey& key) {
  return std::string(kSpkiPrefix.begin(), kSpkiPrefix.end()) + key.to_bytes();
}

Proof membership_proof(const SwarmKey& swarm_key, const PublicKey& key,
                       const ASN1_TIME* not_after) {
  std::string message = "shoal-member-v1" + spki_of(key);
  message.append(reinterpret_cast<const char*>(ASN1_STRING_get0_data(not_after)),
                 static_cast<std::size_t>(ASN1_STRING_length(not_after)));
  Proof proof;
  unsigned int size = 0;
  CHECK(HMAC(EVP_sha256(), swarm_key.bytes.data(), static_cast<int>(swarm_key.bytes.size()),
             reinterpret_cast<const unsigned char*>(message.data()), message.size(), proof.data(),
             &size) != nullptr &&
        size == proof.size());
  return proof;
}

ObjectPtr membership_object() {
  ObjectPtr object(OBJ_txt2obj(kMembershipOid, 1));
  CHECK(object != nullptr);
  return object;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

void set_time(ASN1_TIME* field, const char* text) {
  CHECK(ASN1_TIME_set_string_X509(field, text) == 1) << text;
}

absl::Status refused(const char* why) {
  return absl::UnauthenticatedError(absl::StrCat("the peer's certificate is refused: ", why));
}

// The only certificate in `pem`, with nothing around it and nothing after its DER; null otherwise.
X509Ptr parse(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (bio == nullptr || PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) return nullptr;
  const bool plain = std::string_view(name) == PEM_STRING_X509 && *header == '\0';
  const unsigned char* end = data;
  X509Ptr certificate(plain ? d2i_X509(nullptr, &end, size) : nullptr);
  const bool all = end == data + size;
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  char rest = 0;
  while (BIO_read(bio.get(), &rest, 1) == 1) {
    if (rest != '\n' && rest != '\r' && rest != ' ') return nullptr;
  }
  return all ? std::move(certificate) : nullptr;
}

// The Ed25519 key; nullopt for any other kind, or for another spelling of the same key.
std::optional<PublicKey> public_key_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size < 0) return std::nullopt;
  const std::string spki(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  const std::string_view prefix(reinterpret_cast<const char*>(kSpkiPrefix.data()),
                                kSpkiPrefix.size());
  if (!spki.starts_with(prefix)) return std::nullopt;
  return PublicKey::from_bytes(std::string_view(spki).substr(prefix.size()));
}

// The subject's only entry, a common name; empty for any other subject. (gRPC reads the first of
// several.)
std::string common_name_of(const X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  if (X509_NAME_entry_count(subject) != 1) return {};
  const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, 0);
  if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) != NID_commonName) return {};
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(entry);
  const int type = ASN1_STRING_type(text);
  if (type != V_ASN1_UTF8STRING && type != V_ASN1_PRINTABLESTRING) return {};
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<std::size_t>(ASN1_STRING_length(text)));
}

absl::Status check_dates(const X509* certificate, std::int64_t unix_s) {
  const ASN1_TIME* not_before = X509_get0_notBefore(certificate);
  const ASN1_TIME* not_after = X509_get0_notAfter(certificate);
  // X509_cmp_time is 0 for anything but the two forms of RFC 5280.
  time_t limit = static_cast<time_t>(unix_s - kClockToleranceS);
  const int after = X509_cmp_time(not_after, &limit);
  if (after == 0 || X509_cmp_time(not_before, &limit) == 0 ||
      ASN1_TIME_compare(not_before, not_after) == 1) {
    return refused("its dates make no sense");
  }
  // notBefore is not held against our clock: that would only punish a clock that runs behind.
  if (after < 0) {
    return refused(
        "it has expired. If it should not have, check the clock of this machine and of the peer");
  }
  return absl::OkStatus();
}

absl::Status check_membership(X509* certificate, const PublicKey& key,
                              const std::optional<SwarmKey>& swarm_key) {
  const ObjectPtr object = membership_object();
  const int at = X509_get_ext_by_OBJ(certificate, object.get(), -1);
  if (at < 0) {
    if (!swarm_key) return absl::OkStatus();
    return absl::UnauthenticatedError(
        "the peer shows no membership of this private swarm: it was started without a swarm key. "
        "Start both sides with --swarm-key and the same file");
  }
  if (!swarm_key) {
    return absl::UnauthenticatedError(
        "the peer belongs to a private swarm: to join it, give its key file with --swarm-key");
  }
  if (X509_get_ext_by_OBJ(certificate, object.get(), at) >= 0) {
    return refused("it has two proofs of membership");
  }
  const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate, at));
  const Proof expected = membership_proof(*swarm_key, key, X509_get0_notAfter(certificate));
  const unsigned char* data = ASN1_STRING_get0_data(value);
  if (ASN1_STRING_length(value) != static_cast<int>(kProofPrefix.size() + expected.size()) ||
      std::memcmp(data, kProofPrefix.data(), kProofPrefix.size()) != 0 ||
      CRYPTO_memcmp(data + kProofPrefix.size(), expected.data(), expected.size()) != 0) {
    return absl::UnauthenticatedError(
        "the peer proves another swarm key than ours: start both sides with --swarm-key and the "
        "same file");
  }
  return absl::OkStatus();
}

// What we do not understand we may ignore only if its author said so.
bool has_unknown_critical_extension(const X509* certificate) {
  const int count = X509_get_ext_count(certificate);
  for (int i = 0; i < count; ++i) {
    X509_EXTENSION* extension = X509_get_ext(certificate, i);
    if (X509_EXTENSION_get_critical(extension) != 0 && X509_supported_extension(extension) == 0) {
      return true;
    }
  }
  return false;
}

void add_extension(X509* certificate, X509_EXTENSION* extension) {
  const ExtensionPtr owned(extension);
  CHECK(owned != nullptr && X509_add_ext(certificate, owned.get(), -1) == 1);
}

absl::StatusOr<proto::PeerId> verify_x509(X509* x, const std::optional<SwarmKey>& swarm_key,
                                          std::int64_t unix_s) {
  if (X509_get_version(x) != 2) return refused("it is not of version 3");
  const std::optional<PublicKey> key = public_key_of(x);
  if (!key) return refused("its key is not Ed25519, so this is no Shoal node");
  if (X509_get_signature_nid(x) != NID_ED25519 || X509_verify(x, X509_get0_pubkey(x)) != 1) {
    return refused("it is not signed by its own key");
  }
  const proto::PeerId peer = peer_id_of(*key);
  if (common_name_of(x) != proto::to_string(peer)) {
    return refused("its name is not the hash of its key");
  }
  if (has_unknown_critical_extension(x)) {
    return refused("it demands something that this version does not know");
  }
  if (absl::Status status = check_dates(x, unix_s); !status.ok()) return status;
  if (absl::Status status = check_membership(x, *key, swarm_key); !status.ok()) return status;
  return peer;
}

}  // namespace

Certificate make_certificate(const Identity& identity, const std::optional<SwarmKey>& swarm_key) {
  const ErrorQueueGuard errors;
  const KeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, identity.seed().data(),
                                                identity.seed().size()));
  const X509Ptr certificate(X509_new());
  CHECK(key != nullptr && certificate != nullptr);
  X509* x = certificate.get();
  CHECK(X509_set_version(x, 2) == 1);  // v3
  CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1);
  set_time(X509_getm_notBefore(x), kNotBefore);
  set_time(X509_getm_notAfter(x), kNotAfter);
  CHECK(X509_set_pubkey(x, key.get()) == 1);
  const std::string name =
      proto::to_string(identity.peer_id());  // 64 digits: X.509's limit for a CN
  X509_NAME* subject = X509_get_subject_name(x);
  CHECK(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(name.data()),
                                   static_cast<int>(name.size()), -1, 0) == 1);
  CHECK(X509_set_issuer_name(x, subject) == 1);
  add_extension(x, X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name,
                                       absl::StrCat("DNS:", kTlsName).c_str()));
  if (swarm_key) {
    const Proof proof = membership_proof(*swarm_key, identity.public_key(), X509_get0_notAfter(x));
    std::string value(kProofPrefix.begin(), kProofPrefix.end());
    value.append(proof.begin(), proof.end());
    const OctetsPtr octets(ASN1_OCTET_STRING_new());
    CHECK(octets != nullptr &&
          ASN1_OCTET_STRING_set(octets.get(), reinterpret_cast<const unsigned char*>(value.data()),
                                static_cast<int>(value.size())) == 1);
    const ObjectPtr object = membership_object();
    add_extension(x, X509_EXTENSION_create_by_OBJ(nullptr, object.get(), 0, octets.get()));
  }
  CHECK(X509_sign(x, key.get(), nullptr) > 0);  // Ed25519 hashes by itself

  const BioPtr certificate_pem(BIO_new(BIO_s_mem()));
  const BioPtr key_pem(BIO_new(BIO_s_secmem()));
  CHECK(PEM_write_bio_X509(certificate_pem.get(), x) == 1);
  CHECK(PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) ==
        1);
  return {text_of(certificate_pem.get()), text_of(key_pem.get())};
}

absl::StatusOr<proto::PeerId> verify_certificate_at(std::string_view pem,
                                                    const std::optional<SwarmKey>& swarm_key,
                                                    std::int64_t unix_s) {
  const ErrorQueueGuard errors;
  if (pem.size() > kMaxCertificatePemBytes) return refused("it is too large");
  const X509Ptr certificate = parse(pem);
  if (certificate == nullptr) return refused("it is not one X.509 certificate");
  return verify_x509(certificate.get(), swarm_key, unix_s);
}

absl::StatusOr<proto::PeerId> verify_certificate(x509_st* certificate,
                                                 const std::optional<SwarmKey>& swarm_key) {
  const ErrorQueueGuard errors;
  if (certificate == nullptr) return refused("it is missing");
  return verify_x509(certificate, swarm_key, static_cast<std::int64_t>(std::time(nullptr)));
}

absl::StatusOr<proto::PeerId> verify_certificate(std::string_view pem,
                                                 const std::optional<SwarmKey>& swarm_key) {
  return verify_certificate_at(pem, swarm_key, static_cast<std::int64_t>(std::time(nullptr)));
}

}  // namespace shoal::identity
