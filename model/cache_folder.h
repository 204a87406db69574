// SPDX-License-Identifier: Apache-2.0
// Where this user's programs keep what they can make again.
#pragma once

#include <string>
#include <string_view>

namespace shoal::model {

// $XDG_CACHE_HOME/shoal/NAME, or ~/.cache/shoal/NAME; empty when there is no home folder. It may
// not exist yet.
std::string cache_folder(std::string_view name);

}  // namespace shoal::model
