// SPDX-License-Identifier: Apache-2.0
#include "proto/printable.h"

namespace shoal::proto {

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string result(text.substr(0, max_bytes));
  for (char& c : result) {
    if (c < ' ' || c > '~') c = '?';
  }
  return result;
}

}  // namespace shoal::proto
