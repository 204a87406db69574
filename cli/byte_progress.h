// SPDX-License-Identifier: Apache-2.0
// What people see while much is read or made: a bar on a terminal, elsewhere a line now and then.
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "cli/progress_line.h"

namespace shoal::cli {

inline constexpr const char* kReadsFiles = "reads the model's files through, once";

// To be called with the bytes done so far and those of all, 0 first. `what` begins each line. `say`
// gets the lines that stay. `line` must outlive it.
std::function<void(std::uint64_t done, std::uint64_t all)> byte_progress(
    ProgressLine& line, std::string what, std::function<void(const std::string& text)> say);

}  // namespace shoal::cli
