// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "model/config.h"

namespace shoal::model {

struct RopeTable {
  std::vector<float> inverse_frequency;  // [head_dim / 2]
  float attention_factor = 1.0f;
};
// Computed in double. Source: transformers modeling_rope_utils.py (5.x where 4.x and 5.x differ).
RopeTable make_rope_table(const RopeConfig& rope, std::int64_t head_dim,
                          std::int64_t max_positions);

}  // namespace shoal::model
