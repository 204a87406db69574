// SPDX-License-Identifier: Apache-2.0
// Which files of a cache make room for others. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shoal::model {

struct CachedFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::int64_t used_ns = 0;  // last; of any clock
  bool in_use = false;       // now, by some process
};

struct CacheRoom {
  std::optional<std::uint64_t> limit_bytes;  // of all files; absent: none
  std::uint64_t free_bytes = 0;              // of the disk
  std::uint64_t least_free_bytes = 0;        // that are left to others
};

// The files that go, so that `needed` more bytes fit: first what was not used for longest, nothing
// that is in use. nullopt: they do not fit even then; nothing need go.
std::optional<std::vector<std::string>> files_to_drop(std::vector<CachedFile> files,
                                                      const CacheRoom& room, std::uint64_t needed);

}  // namespace shoal::model
