// SPDX-License-Identifier: Apache-2.0
// Whether a file that was fetched is the one that its etag names: the SHA-256 of its bytes, or the
// SHA-1 that git gives a blob of them. Reads it through; the caller waits.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "model/file_work.h"
#include "model/hub/listing.h"

namespace shoal::model::hub {

// DATA_LOSS: it is another one.
absl::Status verify_file(const std::string& path, const RemoteFile& meant, const FileWork& work);

}  // namespace shoal::model::hub
