// SPDX-License-Identifier: Apache-2.0
// generation_config.json: the model's own sampling defaults. A missing file gives greedy-free
// neutral defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::model {

struct GenerationConfig {
  bool do_sample = false;
  double temperature = 1.0;
  std::int64_t top_k = 0;  // 0: off
  double top_p = 1.0;
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  std::optional<std::int64_t> max_new_tokens;
  std::vector<std::int32_t> eos_ids;
};

absl::StatusOr<GenerationConfig> load_generation_config(const std::string& directory);

}  // namespace shoal::model
