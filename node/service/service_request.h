// SPDX-License-Identifier: Apache-2.0
// What `shoal-node service` was asked for. Plain value.
#pragma once

#include <string>
#include <vector>

#include "cli/settings.h"

namespace shoal::node {

struct ServiceRequest {
  enum class Action { kInstall, kRemove, kStatus };
  struct TypedOption {
    cli::Assignment assignment;
    std::string type;  // "DIR": what kind of value it takes
  };

  Action action = Action::kInstall;
  std::vector<TypedOption> options = {};  // as typed, with those of the command itself
  bool replace = false;
  bool no_start = false;
};

}  // namespace shoal::node
