// SPDX-License-Identifier: Apache-2.0
// What people see while large files are read: a bar on a terminal, elsewhere a line now and then.
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/progress_line.h"

namespace shoal::cli {

inline constexpr const char* kReadsThrough = "reads the model's files through, once";

// To be called with the bytes read so far and those of all, 0 first. `say` gets the lines that
// stay. `line` must outlive it, and `what`, which is done.
std::function<void(std::uint64_t done, std::uint64_t all)> read_progress(
    ProgressLine& line, std::function<void(const std::string& text)> say,
    const char* what = kReadsThrough);

}  // namespace shoal::cli
