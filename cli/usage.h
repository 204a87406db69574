// SPDX-License-Identifier: Apache-2.0
// The one rule for exit statuses: 2 when what was typed is wrong, out of range or contradictory,
// so that the same line can never work; 1 when it failed for what happened (a file, the network,
// the swarm, memory). A status carries which of the two it is. Pure functions.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace shoal::cli {

inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// INVALID_ARGUMENT, marked as a mistake in what was typed.
absl::Status usage_error(const std::string& text);
// The same status, marked; OK stays OK.
absl::Status as_usage_error(absl::Status status);
bool is_usage_error(const absl::Status& status);

// Of a status that is not OK.
int exit_status(const absl::Status& status);
// The text of a status as one line that a terminal may show.
std::string one_line(const absl::Status& status);

}  // namespace shoal::cli
