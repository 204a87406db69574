// SPDX-License-Identifier: Apache-2.0
// Text that people choose and other people's terminals show: always valid UTF-8 without control
// characters. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shoal::proto {

bool is_clean_name(std::string_view text);
// Replaces what is not clean by '?', and cuts at a character's border so that at most max_bytes
// remain.
std::string clean_name(std::string_view text, std::size_t max_bytes);

}  // namespace shoal::proto
