// SPDX-License-Identifier: Apache-2.0
// The rotary part of config.json in its three spellings: rope_scaling with `type`, with
// `rope_type`, and rope_parameters (transformers 5), plain or per layer type.
#pragma once

#include "absl/status/statusor.h"
#include "model/config.h"
#include "model/json_fields.h"

namespace shoal::model {

absl::StatusOr<RopeConfig> parse_rope(JsonFields& config, std::int64_t max_positions);

}  // namespace shoal::model
