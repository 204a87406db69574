// SPDX-License-Identifier: Apache-2.0
// JSON as Python's json module writes and reads it: NaN, Infinity and -Infinity are numbers, also
// in the form {"__float__": "Infinity"}. Errors say what is wrong and where: an empty file, a Git
// LFS pointer, a web page, bytes that are no UTF-8, a comma too many. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace shoal::model {

inline constexpr int kMaxJsonTextDepth = 64;  // real files have 5; copying values is recursive

// The text as one JSON object; `where` begins the error message.
absl::StatusOr<nlohmann::json> parse_json_object(const std::string& text, const std::string& where);
// The same, with the keys in the order of the text.
absl::StatusOr<nlohmann::ordered_json> parse_ordered_object(const std::string& text,
                                                            const std::string& where);

}  // namespace shoal::model
