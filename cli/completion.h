// SPDX-License-Identifier: Apache-2.0
// Scripts by which a shell completes a program's command line, made of its description. Pure.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/command.h"

namespace shoal::cli {

// `shell`: bash, zsh or fish; another is a usage error.
absl::StatusOr<std::string> completion(const Command& program, const std::string& shell);

}  // namespace shoal::cli
