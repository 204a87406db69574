// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/geometry.h"

namespace shoal::bench {

std::optional<Geometry> geometry_named(std::string_view name) {
  for (const Geometry& each : kGeometries) {
    if (each.name == name) return each;
  }
  return std::nullopt;
}

std::string geometry_names() {
  std::string text;
  for (const Geometry& each : kGeometries) {
    text += (text.empty() ? "" : ", ") + std::string(each.name);
  }
  return text;
}

}  // namespace shoal::bench
