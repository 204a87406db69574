// SPDX-License-Identifier: Apache-2.0
#include "identity/sodium.h"

#include <sodium.h>

#include "base/check.h"

namespace shoal::identity {

void ensure_sodium() {
  static const bool ready = sodium_init() >= 0;
  CHECK(ready) << "libsodium could not start: no source of randomness on this system";
}

std::array<std::uint8_t, 32> sha256(std::string_view message) {
  std::array<std::uint8_t, 32> result;
  crypto_hash_sha256(result.data(), as_bytes(message), message.size());
  return result;
}

}  // namespace shoal::identity
