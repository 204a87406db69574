// SPDX-License-Identifier: Apache-2.0
#include "identity/identity.h"

#include <sodium.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "identity/primitives.h"
#include "identity/secret_file.h"
#include "identity/sodium.h"

namespace shoal::identity {
namespace {

constexpr std::string_view kWhat = "identity";

std::string joined(std::string_view domain, std::string_view message) {
  std::string text;
  text.reserve(domain.size() + message.size());
  text += domain;
  text += message;
  return text;
}

absl::StatusOr<std::array<std::uint8_t, 32>> parse_seed(const std::string& path,
                                                        std::string contents) {
  while (!contents.empty() && (contents.back() == '\n' || contents.back() == '\r'))
    contents.pop_back();
  const std::optional<std::string> raw = proto::unhex(contents);
  sodium_memzero(contents.data(), contents.size());
  if (!raw || raw->size() != 32) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     " is not an identity file (64 hex digits): name another file, or remove it to "
                     "get a new identity"));
  }
  std::array<std::uint8_t, 32> seed;
  std::copy(raw->begin(), raw->end(), seed.begin());
  return seed;
}

}  // namespace

proto::PeerId peer_id_of(const PublicKey& key) {
  proto::PeerId id;
  id.bytes = sha256({reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size()});
  return id;
}

Identity Identity::from_seed(std::span<const std::uint8_t, 32> seed) {
  ensure_sodium();
  Identity identity;
  std::array<std::uint8_t, 32> copy;
  std::copy(seed.begin(), seed.end(), copy.begin());
  primitives().key_pair(copy, identity.public_key_.bytes, identity.secret_);
  sodium_memzero(copy.data(), copy.size());
  identity.peer_id_ = peer_id_of(identity.public_key_);
  return identity;
}

Identity Identity::generate() {
  ensure_sodium();
  std::array<std::uint8_t, 32> seed;
  randombytes_buf(seed.data(), seed.size());
  Identity identity = from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return identity;
}

absl::StatusOr<Identity> Identity::load_or_create(const std::string& path) {
  absl::StatusOr<std::string> contents = read_secret_file(path, kWhat);
  if (absl::IsNotFound(contents.status())) {
    const Identity fresh = generate();
    const absl::Status created = create_secret_file(path, kWhat, proto::hex(fresh.seed()) + "\n");
    if (created.ok()) return fresh;
    if (!absl::IsAlreadyExists(created)) return created;
    contents = read_secret_file(path, kWhat);  // another process was faster: share its identity
  }
  if (!contents.ok()) return contents.status();
  const auto seed = parse_seed(path, *std::move(contents));
  if (!seed.ok()) return seed.status();
  return from_seed(*seed);
}

std::array<std::uint8_t, 32> Identity::exchange_secret() const {
  std::array<std::uint8_t, 32> secret;
  primitives().exchange_secret_of(secret_, secret);
  return secret;
}

Signature Identity::sign(std::string_view domain, std::string_view message) const {
  const std::string text = joined(domain, message);
  Signature signature;
  primitives().sign(secret_, text, signature.bytes);
  return signature;
}

bool verify(const PublicKey& key, std::string_view domain, std::string_view message,
            const Signature& signature) {
  return primitives().verify(key.bytes, joined(domain, message), signature.bytes);
}

}  // namespace shoal::identity
