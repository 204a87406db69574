// SPDX-License-Identifier: Apache-2.0
#include "model/cache_room.h"

#include <algorithm>

namespace shoal::model {

std::optional<std::vector<std::string>> files_to_drop(std::vector<CachedFile> files,
                                                      const CacheRoom& room, std::uint64_t needed) {
  std::sort(files.begin(), files.end(), [](const CachedFile& a, const CachedFile& b) {
    return a.used_ns != b.used_ns ? a.used_ns < b.used_ns : a.name < b.name;
  });
  std::uint64_t held = 0;
  for (const CachedFile& file : files) held += file.bytes;
  std::uint64_t dropped = 0;
  const auto fits = [&] {
    const bool within = !room.limit_bytes || held - dropped + needed <= *room.limit_bytes;
    return within && (needed == 0 || room.free_bytes + dropped >= needed + room.least_free_bytes);
  };
  std::vector<std::string> names;
  for (const CachedFile& file : files) {
    if (fits()) break;
    if (file.in_use) continue;
    dropped += file.bytes;
    names.push_back(file.name);
  }
  if (!fits()) return std::nullopt;
  return names;
}

}  // namespace shoal::model
