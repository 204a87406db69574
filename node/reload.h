// SPDX-License-Identifier: Apache-2.0
// What a configuration that was read again changes in a node that runs. Pure; whoever calls it does
// what it says.
#pragma once

#include <string>
#include <vector>

#include "cli/settings.h"

namespace shoal::node {

struct Reload {
  std::vector<std::string> now;    // keys that a running node can follow
  std::vector<std::string> later;  // keys that need a new start
  bool has(const std::string& key) const;
};

// Of all options that were given before and are given now.
Reload compare_options(const std::vector<cli::Assignment>& before,
                       const std::vector<cli::Assignment>& after);
// The line for the log.
std::string reload_text(const Reload& reload);

}  // namespace shoal::node
