// SPDX-License-Identifier: Apache-2.0
// Identities of tests by number: always the same for the same number.
#pragma once

#include <array>
#include <cstdint>

#include "identity/identity.h"

namespace shoal::dht {

inline identity::Identity numbered(std::uint8_t number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = number;
  return identity::Identity::from_seed(seed);
}

}  // namespace shoal::dht
