// SPDX-License-Identifier: Apache-2.0
// What a benchmark measured: facts that hold for all of it, and points that differ in a few keys.
// As one JSON object (a single point's keys beside the facts; several under "points"), as a line
// and a Markdown table, or as a plot.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace shoal::bench {

struct Report {
  nlohmann::ordered_json facts;
  std::vector<nlohmann::ordered_json> points;  // all with the same keys
  std::string x, y;                            // keys that a plot shows
};

std::string json_of(const Report& report);
std::string table_of(const Report& report);
// An SVG picture: y over x, x in steps of powers of two.
absl::Status write_plot(const Report& report, const std::string& path);

}  // namespace shoal::bench
