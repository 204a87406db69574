// SPDX-License-Identifier: Apache-2.0
// What this process holds at this moment. Linux.
#pragma once

#include <cstdint>

namespace shoal::tests {

std::int64_t open_descriptors();  // with the one that counting takes
std::int64_t running_threads();

}  // namespace shoal::tests
