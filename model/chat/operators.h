// SPDX-License-Identifier: Apache-2.0
// Arithmetic and comparison as Python does them on the values of templates. What an operator does
// not take fails.
#pragma once

#include "model/chat/tree.h"
#include "model/chat/value.h"

namespace shoal::model::chat {

Value binary(Operator op, const Value& left, const Value& right, Budget& budget);
bool holds(Operator op, const Value& left, const Value& right, Budget& budget);
Value negated(const Value& value);
Value affirmed(const Value& value);  // +value

}  // namespace shoal::model::chat
