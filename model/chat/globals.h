// SPDX-License-Identifier: Apache-2.0
// The functions that a template finds by name: range, dict, namespace, cycler and joiner of Jinja,
// raise_exception and strftime_now of the reference.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/chat/value.h"

namespace shoal::model::chat {

inline constexpr std::int64_t kMaxRange = 100'000;  // the reference's

std::vector<std::pair<std::string, Value>> global_functions();

}  // namespace shoal::model::chat
