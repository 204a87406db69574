// SPDX-License-Identifier: Apache-2.0
// The rotary part of config.json in its three spellings: rope_scaling with `type`, with
// `rope_type`, and rope_parameters (transformers 5), plain or per layer type. Where they disagree,
// what standardize_rope_params() of transformers 5 does, and a line in `warnings`.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/config.h"
#include "model/json_fields.h"

namespace shoal::model {

absl::StatusOr<RopeConfig> parse_rope(JsonFields& config, std::int64_t max_positions,
                                      std::vector<std::string>& warnings);

}  // namespace shoal::model
