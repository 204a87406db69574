// SPDX-License-Identifier: Apache-2.0
// JSON as a value of the template language, bounded in depth and charged to the budget.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "model/chat/value.h"

namespace shoal::model::chat {

// Which texts of a stranger are trusted all the same: those of the key "role" that this accepts. A
// template builds control tokens of them: <|user|>.
using TrustedRole = std::function<bool(std::string_view)>;

// Fails for text that is not UTF-8, integers beyond 64 bits, and what is nested too deep.
Value value_of(const nlohmann::ordered_json& json, bool trusted, const TrustedRole& trusted_role,
               Budget& budget);

}  // namespace shoal::model::chat
