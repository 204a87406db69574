// SPDX-License-Identifier: Apache-2.0
#include "model/sha256.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"

namespace shoal::model {

struct Sha256::Context {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> evp{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  bool good = evp != nullptr && EVP_DigestInit_ex(evp.get(), EVP_sha256(), nullptr) == 1;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {}
Sha256::~Sha256() = default;

void Sha256::add(const void* data, std::size_t size) {
  context_->good = context_->good && EVP_DigestUpdate(context_->evp.get(), data, size) == 1;
}

absl::StatusOr<Sha256Digest> Sha256::finish() {
  Sha256Digest digest{};
  if (!context_->good || EVP_DigestFinal_ex(context_->evp.get(), digest.data(), nullptr) != 1) {
    return absl::InternalError("SHA-256 of the crypto library failed");
  }
  return digest;
}

absl::StatusOr<Sha256Digest> sha256(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes.data(), bytes.size());
  return hash.finish();
}

std::string to_hex(const Sha256Digest& digest) {
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::optional<Sha256Digest> sha256_from_hex(std::string_view text) {
  Sha256Digest digest{};
  if (text.size() != 2 * digest.size()) return std::nullopt;
  const auto value = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const int high = value(text[2 * i]), low = value(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    digest[i] = static_cast<std::uint8_t>(16 * high + low);
  }
  return digest;
}

}  // namespace shoal::model
