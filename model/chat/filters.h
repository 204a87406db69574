// SPDX-License-Identifier: Apache-2.0
// The filters of Jinja 3.1, tojson as the reference replaces it. Those that escape or break up
// HTML, and random and pprint, are known by name and fail where they are used.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "model/chat/value.h"

namespace shoal::model::chat {

class Interpreter;

using Filter = Value (*)(Interpreter&, const Value&, Arguments);
using FilterTable = std::map<std::string_view, Filter>;

Value apply_filter(Interpreter& interpreter, std::string_view name, const Value& value,
                   Arguments arguments);
bool is_filter(std::string_view name);

// The parts of the table.
const FilterTable& text_filters();
const FilterTable& sequence_filters();
const FilterTable& value_filters();

// value.a.b of each part of a dotted name or an index, as filters take it for `attribute`; with
// fold_case, a text in lower case.
Value attribute_path(Interpreter& interpreter, Value value, const Value& path,
                     const Value* fallback = nullptr);
Value folded(Interpreter& interpreter, const Value& value, bool fold_case);

}  // namespace shoal::model::chat
