// SPDX-License-Identifier: Apache-2.0
// A program's manual page, made of its command line. Pure.
#pragma once

#include <string>

#include "cli/command.h"

namespace shoal::cli {

// Source of a page of section 1, for man(1). `version`: "shoal 0.1.0"; `settings` says by which
// variables and which file options may be given too.
std::string man_page(const Command& program, const std::string& version, const Settings& settings);

}  // namespace shoal::cli
