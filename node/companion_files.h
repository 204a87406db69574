// SPDX-License-Identifier: Apache-2.0
// The small files beside a model's weights, read once for clients that have none of it. The caller
// waits for the disk.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "node/serve/companion_desk.h"

namespace shoal::node {

// As they are now. An error says which file is not as it may be: nothing is given then, as clients
// would take what they got for all that there is. NOT_FOUND: there is not what a client needs.
absl::StatusOr<std::shared_ptr<const CompanionFiles>> read_companion_files(
    const std::string& directory);

}  // namespace shoal::node
