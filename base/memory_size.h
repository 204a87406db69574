// SPDX-License-Identifier: Apache-2.0
// An amount of memory as people write it: "6GiB", "500MB", "1.5G", "50%". Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace shoal::base {

struct MemorySize {
  std::uint64_t bytes = 0;
  double percent = 0;  // of all memory; when it is not 0, bytes is

  std::uint64_t of(std::uint64_t total_bytes) const;
  bool operator==(const MemorySize&) const = default;
};

// A number, with or without fraction, and a unit: none or B (bytes); KB, MB, GB, TB (powers of
// 1000); KiB, MiB, GiB, TiB, or K, M, G, T (powers of 1024); % (above 0, at most 100). In any case,
// a space before the unit may be there. INVALID_ARGUMENT says what to write.
absl::StatusOr<MemorySize> parse_memory_size(std::string_view text);

// "6.0 GiB", "512 MiB": for people.
std::string memory_text(std::uint64_t bytes);

}  // namespace shoal::base
