// SPDX-License-Identifier: Apache-2.0
// What every program of the product uses.
#include "dht/primitives.h"

namespace shoal::dht {

const Primitives& primitives() { return sodium_primitives(); }

}  // namespace shoal::dht
