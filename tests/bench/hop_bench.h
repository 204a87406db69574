// SPDX-License-Identifier: Apache-2.0
// What a hop costs in software, and tokens per second, in one run on loopback with real node
// processes; beside it the floors that the same bytes have without us (echo.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "model/weight_choice.h"
#include "tests/bench/geometry.h"

namespace shoal::bench {

struct HopBench {
  std::string model;                 // a model's folder, unless
  std::optional<Geometry> geometry;  // random weights of this shape are made
  std::int64_t blocks = 8;           // of them
  model::WeightChoice weights = model::WeightChoice::kStored;
  int tokens = 400;
  int echoes = 20'000;
  bool json = false;
};

// Prints Markdown tables, or one JSON object.
absl::Status run_hop(const HopBench& options);

}  // namespace shoal::bench
