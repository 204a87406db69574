// SPDX-License-Identifier: Apache-2.0
// How much of a mapped file is in this process's memory.
#pragma once

#include <cstdint>

namespace shoal::tests {

// Of the mapping that `address` lies in, KiB; -1 where there is none.
std::int64_t resident_kib(const void* address);

}  // namespace shoal::tests
