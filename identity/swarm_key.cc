// SPDX-License-Identifier: Apache-2.0
#include "identity/swarm_key.h"

#include <sodium.h>

#include "absl/strings/str_cat.h"
#include "identity/secret_file.h"
#include "identity/sodium.h"

namespace shoal::identity {
namespace {

constexpr std::string_view kKeyFile = "swarm key";
constexpr std::string_view kHeader = "shoal-swarm-1 ";

}  // namespace

SwarmKey generate_swarm_key() {
  ensure_sodium();
  SwarmKey key;
  randombytes_buf(key.bytes.data(), key.bytes.size());
  return key;
}

absl::Status write_swarm_key(const std::string& path, const SwarmKey& key) {
  return create_secret_file(path, kKeyFile, std::string(kHeader) + proto::to_string(key) + "\n");
}

absl::StatusOr<SwarmKey> read_swarm_key(const std::string& path) {
  absl::StatusOr<std::string> contents = read_secret_file(path, kKeyFile);
  if (!contents.ok()) return contents.status();
  std::string_view text = *contents;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (text.starts_with(kHeader)) {
    const std::optional<std::string> raw = proto::unhex(text.substr(kHeader.size()));
    if (raw) {
      if (const auto key = SwarmKey::from_bytes(*raw)) return *key;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path,
                   " is not a swarm key file (one line: shoal-swarm-1 and 64 hex digits): make one "
                   "with  shoal swarm new FILE"));
}

SwarmId swarm_id_of(const SwarmKey& key) {
  ensure_sodium();
  constexpr std::string_view kText = "shoal-swarm-id-v1";
  SwarmId id;
  crypto_generichash(id.bytes.data(), id.bytes.size(), as_bytes(kText), kText.size(),
                     key.bytes.data(), key.bytes.size());
  return id;
}

}  // namespace shoal::identity
