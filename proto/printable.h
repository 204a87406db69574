// SPDX-License-Identifier: Apache-2.0
// What a peer wrote, made fit for a terminal and a log. Pure function.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shoal::proto {

// At most max_bytes of the text; what is not printable ASCII becomes `?`.
std::string printable(std::string_view text, std::size_t max_bytes);

}  // namespace shoal::proto
