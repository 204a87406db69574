// SPDX-License-Identifier: Apache-2.0
// Keys of config.json by which some families change the mathematics. In a file of a family that
// does not compute them they may only stand with the value that changes nothing.
#pragma once

#include <span>
#include <string_view>

#include "model/json_fields.h"

namespace shoal::model {

// Leaves a failure that names the key. `computed`: keys that the family reads itself, or has the
// feature of whatever they say.
void refuse_unsupported_features(JsonFields& fields,
                                 std::span<const std::string_view> computed = {});

}  // namespace shoal::model
