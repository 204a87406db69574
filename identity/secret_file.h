// SPDX-License-Identifier: Apache-2.0
// Small files that hold a secret: created with mode 0600 and never overwritten, read only if nobody
// else can read them. Safe against several processes that create the same file at once: one wins,
// and no reader sees half a file.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoal::identity {

// `what` names the kind of file in messages, e.g. "swarm key".
// NOT_FOUND, PERMISSION_DENIED (group or others may read it), INVALID_ARGUMENT (too long, not a
// regular file).
absl::StatusOr<std::string> read_secret_file(const std::string& path, std::string_view what);

// ALREADY_EXISTS when the file is there. On success the contents have reached the disk.
absl::Status create_secret_file(const std::string& path, std::string_view what,
                                std::string_view contents);

}  // namespace shoal::identity
