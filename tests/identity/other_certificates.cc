// SPDX-License-Identifier: Apache-2.0
#include "tests/identity/other_certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/check.h"

namespace shoal::identity {
namespace {

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string pem_of(X509* certificate) {
  BIO* bio = BIO_new(BIO_s_mem());
  CHECK(PEM_write_bio_X509(bio, certificate) == 1);
  const std::string text = text_of(bio);
  BIO_free(bio);
  return text;
}

EVP_PKEY* key_of_kind(KeyKind kind) {
  if (kind == KeyKind::kP256) return EVP_EC_gen("P-256");
  return EVP_PKEY_Q_keygen(nullptr, nullptr, kind == KeyKind::kEd448 ? "ED448" : "ED25519");
}

}  // namespace

std::string changed_certificate(const Identity& identity, const std::optional<SwarmKey>& swarm_key,
                                const std::function<void(X509*)>& change, bool sign) {
  const std::string pem = make_certificate(identity, swarm_key).certificate_pem;
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  change(certificate);
  if (sign) {
    EVP_PKEY* key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, identity.seed().data(), 32);
    CHECK(X509_sign(certificate, key, nullptr) > 0);
    EVP_PKEY_free(key);
  } else {
    i2d_re_X509_tbs(certificate, nullptr);  // the new content under the old signature
  }
  std::string changed = pem_of(certificate);
  X509_free(certificate);
  return changed;
}

Certificate certificate_of_kind(KeyKind kind, const std::string& common_name) {
  EVP_PKEY* key = key_of_kind(kind);
  X509* certificate = X509_new();
  CHECK(key != nullptr && certificate != nullptr);
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  set_dates(certificate, "20200101000000Z", "99991231235959Z");
  X509_set_pubkey(certificate, key);
  set_common_name(certificate, common_name);
  CHECK(X509_sign(certificate, key, kind == KeyKind::kP256 ? EVP_sha256() : nullptr) > 0);
  BIO* bio = BIO_new(BIO_s_mem());
  CHECK(PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  Certificate result{pem_of(certificate), text_of(bio)};
  BIO_free(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return result;
}

void set_common_name(X509* certificate, const std::string& name) {
  X509_NAME* subject = X509_NAME_new();
  CHECK(X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(name.data()),
                                   static_cast<int>(name.size()), -1, 0) == 1);
  CHECK(X509_set_subject_name(certificate, subject) == 1);
  X509_NAME_free(subject);
}

void set_dates(X509* certificate, const char* not_before, const char* not_after) {
  CHECK(ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), not_before) == 1);
  CHECK(ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), not_after) == 1);
}

void add_raw_extension(X509* certificate, const char* oid, const std::string& value,
                       bool critical) {
  ASN1_OBJECT* object = OBJ_txt2obj(oid, 1);
  ASN1_OCTET_STRING* octets = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(octets, reinterpret_cast<const unsigned char*>(value.data()),
                        static_cast<int>(value.size()));
  X509_EXTENSION* extension =
      X509_EXTENSION_create_by_OBJ(nullptr, object, critical ? 1 : 0, octets);
  CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(octets);
  ASN1_OBJECT_free(object);
}

}  // namespace shoal::identity
