// SPDX-License-Identifier: Apache-2.0
// How much this process gives way to others (nice(1)). Any thread.
#pragma once

#include "absl/status/status.h"

namespace shoal::node {

// Of all threads that there are now, and those that they start. Giving way less than before is
// refused by the system as a rule: PERMISSION_DENIED says so.
absl::Status give_way(int nice);

}  // namespace shoal::node
