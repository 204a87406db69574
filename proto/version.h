// SPDX-License-Identifier: Apache-2.0
// The protocol's version as it travels: which one this program speaks, and why another is refused.
// Pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proto/offer.pb.h"

namespace shoal::proto {

wire::Version our_version();
// nullopt when `theirs` has our major version; else "it speaks protocol 1.0, this node speaks 2.2:
// use the same major version". `they` and `we` are words like "you speak" and "this node speaks".
std::optional<std::string> why_version_refused(const wire::Version& theirs, std::string_view they,
                                               std::string_view we);

}  // namespace shoal::proto
