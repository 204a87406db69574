// SPDX-License-Identifier: Apache-2.0
// How much memory this process may still take, and which of the many limits says so: the machine's
// free memory, control groups, ulimits, --memory. Reads files below `root` ("/", or a test's copy
// of a machine) and the limits it is given.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/memory_ledger.h"
#include "base/memory_size.h"

namespace shoal::base {

struct MemoryLimit {
  std::uint64_t bytes = 0;  // that may still be taken
  std::string from;         // for people: "free memory of this machine"
  // Other programs live from the same memory, and may want more of it later.
  bool shared = false;
  // Of a limit that was given to this program (--memory): its size, and what is taken already.
  std::optional<std::uint64_t> given_bytes = {};
  std::uint64_t taken_bytes = 0;
};

struct MemoryBudget {
  MemoryLimit all;  // weights, though they are mapped from files, KV and everything else
  std::optional<MemoryLimit> own;  // what is not mapped from files alone
};

// Of setrlimit(2); absent: no limit.
struct ProcessLimits {
  std::optional<std::uint64_t> address_space_bytes;  // RLIMIT_AS, ulimit -v
  std::optional<std::uint64_t> data_bytes;           // RLIMIT_DATA, ulimit -d
};
ProcessLimits process_limits();

// `most`: what the user allows this process in all, with --memory. `promised`: what is taken
// already though it does not show yet.
MemoryBudget memory_budget(const std::filesystem::path& root, const ProcessLimits& limits,
                           const std::optional<MemorySize>& most,
                           const PromisedMemory& promised = {});

}  // namespace shoal::base
