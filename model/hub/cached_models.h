// SPDX-License-Identifier: Apache-2.0
// Which models a cache holds, and how much of them. Reads the cache; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/hub/cache.h"

namespace shoal::model::hub {

struct CachedModel {
  std::string repo;
  std::vector<std::string> revisions;  // branches that lead here, else commits
  std::uint64_t disk_bytes = 0;        // that it takes
  // Of the newest commit, as far as its list of files is known: how many bytes of weights there are
  // and how many of them are here, as whole files.
  std::uint64_t weight_bytes = 0;
  std::uint64_t whole_bytes = 0;
  std::vector<std::string> parts;  // purposes: "ends", "blocks 2:4"
};

std::vector<CachedModel> cached_models(const Cache& cache);

// NOT_FOUND: it is not here. The bytes that became free.
absl::StatusOr<std::uint64_t> remove_cached(const Cache& cache, const std::string& repo);

}  // namespace shoal::model::hub
