// SPDX-License-Identifier: Apache-2.0
// Fetches what files lack, over several connections at once, each a piece at a time. What a server
// drops, truncates or refuses for a while is asked for again; one that knows no ranges is read from
// its beginning. What it says of the file must be what the list says. One thread, the caller's.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/byte_ranges.h"
#include "model/file_work.h"
#include "model/hub/http.h"
#include "model/hub/range_file.h"
#include "model/hub/refusal.h"

namespace shoal::model::hub {

struct Download {
  RangeFile* file = nullptr;  // size and etag are its record's
  ByteRanges wanted;          // of which some may be there
  std::string path;           // in the model, for error messages
  std::string url;
};

struct DownloadOptions {
  Asked asked;
  std::string commit;
  std::size_t connections = 8;
  std::uint64_t piece_bytes = 16 << 20;
  std::chrono::steady_clock::time_point (*now)() = &std::chrono::steady_clock::now;
};

// In pieces of at most so many bytes, in order; as many as there are connections, if they would
// not be too small. Pure.
std::vector<ByteRange> pieces_of(const ByteRanges& missing, const DownloadOptions& options);

// OK: all that was wanted is there, not yet held against a hash. What has come stays, whatever
// happens. DATA_LOSS names a file of which the server says what the list does not.
absl::Status download(Http& http, const std::vector<Download>& downloads,
                      const DownloadOptions& options, const FileWork& work);

}  // namespace shoal::model::hub
