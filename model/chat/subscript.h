// SPDX-License-Identifier: Apache-2.0
// value.name, value[key] and value[a:b:c], as the reference's sandbox looks them up: what is not
// there is undefined, and so are names that begin with '_' and methods that would change a value.
#pragma once

#include <optional>
#include <string_view>

#include "model/chat/value.h"

namespace shoal::model::chat {

class Interpreter;

Value attribute_of(Interpreter& interpreter, const Value& object, std::string_view name);
Value item_of(Interpreter& interpreter, const Value& object, const Value& key);
Value slice_of(const Value& object, const Value& begin, const Value& end, const Value& step,
               Budget& budget);

// Of strings, dicts and lists: a function that is bound to the object, undefined for one that
// would change it, nullopt where the object's type has none of that name.
std::optional<Value> text_method(const Value& object, std::string_view name);
std::optional<Value> dict_method(const Value& object, std::string_view name);
std::optional<Value> sequence_method(const Value& object, std::string_view name);

}  // namespace shoal::model::chat
