// SPDX-License-Identifier: Apache-2.0
// Identities and swarm keys of tests by number: always the same for the same number.
#pragma once

#include <array>
#include <cstdint>

#include "identity/identity.h"
#include "identity/swarm_key.h"

namespace shoal::identity {

inline Identity identity_of(int number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = static_cast<std::uint8_t>(number);
  seed[1] = static_cast<std::uint8_t>(number >> 8);
  return Identity::from_seed(seed);
}

inline SwarmKey swarm_key_of(int number) {
  SwarmKey key;
  key.bytes.fill(static_cast<std::uint8_t>(number));
  return key;
}

}  // namespace shoal::identity
