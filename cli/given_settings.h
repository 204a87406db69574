// SPDX-License-Identifier: Apache-2.0
// Gives options that nobody typed what variables and the file say of them. The part of invoke()
// (cli/command.h) that reads a file.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/command.h"
#include "cli/settings.h"

namespace shoal::cli {

bool is_given(const std::vector<Given>& given, const std::string& option);

// Into `given`, which holds what was typed. Usage errors name the variable, or file and line; what
// no command of `program` knows is one. Nothing happens to a command without --config.
absl::Status take_settings(const Command& program, const Command& command, const Settings& settings,
                           std::vector<Given>& given);

}  // namespace shoal::cli
