// SPDX-License-Identifier: Apache-2.0
// libsodium's one-time initialisation and SHA-256, for the files of this room. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace shoal::identity {

// Call before the first use of libsodium; cheap afterwards.
void ensure_sodium();

inline const std::uint8_t* as_bytes(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

std::array<std::uint8_t, 32> sha256(std::string_view message);

}  // namespace shoal::identity
