// SPDX-License-Identifier: Apache-2.0
// ==, <, `in` and going through, as Python does them. What cannot be compared fails.
#pragma once

#include <functional>
#include <string_view>

#include "model/chat/value.h"

namespace shoal::model::chat {

bool equals(const Value& left, const Value& right, Budget* budget);
// -1, 0 or 1; numbers, texts, lists and tuples. `what` is the operator, for the error.
int order(const Value& left, const Value& right, std::string_view what, Budget* budget);
bool contains(const Value& container, const Value& item, Budget* budget);

// The items that a loop over the value sees; an iterator is used up.
Items items_of(const Value& value, Budget& budget);
bool is_iterable(const Value& value);
std::int64_t length_of(const Value& value);  // fails for what has none

// Where `part` is in `text` at or after `from`, else npos. Linear in the worst case.
std::size_t find_bytes(std::string_view text, std::string_view part, std::size_t from);

}  // namespace shoal::model::chat
