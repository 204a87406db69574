// SPDX-License-Identifier: Apache-2.0
#include "model/cache_folder.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace shoal::model {

std::string cache_folder(std::string_view name) {
  if (const char* set = std::getenv("XDG_CACHE_HOME"); set != nullptr && *set == '/') {
    return absl::StrCat(set, "/shoal/", std::string(name));
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return absl::StrCat(home, "/.cache/shoal/", std::string(name));
  }
  return "";
}

}  // namespace shoal::model
