// SPDX-License-Identifier: Apache-2.0
// The tests of Jinja: `value is NAME(arguments)`.
#pragma once

#include <string_view>

#include "model/chat/value.h"

namespace shoal::model::chat {

class Interpreter;

bool apply_test(Interpreter& interpreter, std::string_view name, const Value& value,
                Arguments arguments);
bool is_test(std::string_view name);

}  // namespace shoal::model::chat
