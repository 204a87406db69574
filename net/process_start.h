// SPDX-License-Identifier: Apache-2.0
// What a program of ours does first: it finds out what the system will refuse it (threads, files,
// memory: ulimit, containers) while that can still be said in one sentence. Libraries that are
// refused a thread or memory later abort, or wait for ever. For main, before other threads exist.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace shoal::net {

// An exception that nobody catches, or a library that aborts while limits are set, becomes one
// sentence that begins with `program`, and exit status 1. CHECK still aborts.
void end_with_a_sentence(const char* program);

struct ProcessNeeds {
  std::string program;
  int threads = 0;  // beside main, at the same time
  std::uint64_t descriptors = 0;
  std::uint64_t memory_bytes = 0;  // beside the threads' stacks and mapped files
};

// Raises what may be raised and tries the rest out: RESOURCE_EXHAUSTED names the limit, what it is
// and what it must be.
absl::Status check_process_limits(const ProcessNeeds& needs);

}  // namespace shoal::net
