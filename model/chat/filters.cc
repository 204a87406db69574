// SPDX-License-Identifier: Apache-2.0
#include "model/chat/filters.h"

#include <set>
#include <string>
#include <utility>

#include "model/chat/interpreter.h"
#include "model/chat/number.h"
#include "model/chat/print.h"
#include "model/chat/subscript.h"
#include "model/chat/text_operations.h"

namespace shoal::model::chat {
namespace {

Filter filter_named(std::string_view name) {
  for (const FilterTable* table : {&text_filters(), &sequence_filters(), &value_filters()}) {
    const auto found = table->find(name);
    if (found != table->end()) return found->second;
  }
  return nullptr;
}

const std::set<std::string_view>& refused_filters() {
  static const std::set<std::string_view> kRefused = {"pprint",  "random",    "urlize",
                                                      "xmlattr", "striptags", "wordwrap"};
  return kRefused;
}

}  // namespace

bool is_filter(std::string_view name) {
  return filter_named(name) != nullptr || refused_filters().contains(name);
}

Value apply_filter(Interpreter& interpreter, std::string_view name, const Value& value,
                   Arguments arguments) {
  interpreter.budget().spend(1);
  const Filter filter = filter_named(name);
  if (filter != nullptr) return filter(interpreter, value, std::move(arguments));
  if (refused_filters().contains(name)) {
    fail("the filter '" + std::string(name) + "' is not supported in chat templates");
  }
  fail("No filter named '" + std::string(name) + "' found.");
}

Value attribute_path(Interpreter& interpreter, Value value, const Value& path,
                     const Value* fallback) {
  const auto step = [&](const Value& key) {
    value = item_of(interpreter, value, key);
    if (fallback != nullptr && !fallback->is_none() && value.is_undefined()) value = *fallback;
  };
  if (path.is_none()) return value;
  if (path.text() == nullptr) {
    step(path);
    return value;
  }
  const Text dot(".", true, nullptr);
  for (Text& part : split(*path.text(), &dot, -1, false, interpreter.budget())) {
    if (all_codes(part, is_digit)) {
      step(Value(read_integer(part.bytes(), 10).value_or(0)));
    } else {
      step(Value(std::move(part)));
    }
  }
  return value;
}

Value folded(Interpreter& interpreter, const Value& value, bool fold_case) {
  if (!fold_case || value.text() == nullptr) return value;
  return Value(in_case(*value.text(), Case::kLower, interpreter.budget()));
}

}  // namespace shoal::model::chat
