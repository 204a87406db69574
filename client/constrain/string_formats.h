// SPDX-License-Identifier: Apache-2.0
// The values of "format" that are known, as regular expressions of a whole text.
#pragma once

#include <string>
#include <string_view>

namespace shoal::client::constrain {

// Empty: not known.
std::string format_pattern(std::string_view format);
std::string known_formats();  // "date, time ..."

}  // namespace shoal::client::constrain
