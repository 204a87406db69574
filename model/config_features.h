// SPDX-License-Identifier: Apache-2.0
// Keys of config.json that other architectures use to change the mathematics. In a file that claims
// a supported architecture they may only stand with the value that changes nothing.
#pragma once

#include "absl/status/status.h"
#include "model/json_fields.h"

namespace shoal::model {

absl::Status refuse_unsupported_features(const JsonFields& fields, bool has_qk_norm);

}  // namespace shoal::model
