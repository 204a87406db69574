// SPDX-License-Identifier: Apache-2.0
// What every program of the product uses.
#include "identity/primitives.h"

namespace shoal::identity {

const Primitives& primitives() { return sodium_primitives(); }

}  // namespace shoal::identity
