// SPDX-License-Identifier: Apache-2.0
// Text from a command line or from strangers as a terminal may show it. Pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace shoal::cli {

// Where the first byte stands that is not UTF-8.
std::optional<std::size_t> not_utf8_at(std::string_view text);

// Control characters and bytes that are not UTF-8 as \xNN; the rest as it is.
std::string printable(std::string_view text);

// In double quotes, printable, a long text cut short: for error lines.
std::string shown(std::string_view text);

}  // namespace shoal::cli
