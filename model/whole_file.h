// SPDX-License-Identifier: Apache-2.0
// Writes files that others find whole or not at all.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/status.h"

namespace shoal::model {

// The parts, one behind the other, into a new file ".NAME.XXXXXX" beside `path`, which is locked
// (flock) while it is written, then fsync, then rename. Errors name the path and the system's
// reason; nothing is left behind then.
absl::Status write_whole_file(const std::string& path,
                              std::span<const std::span<const std::byte>> parts);

}  // namespace shoal::model
