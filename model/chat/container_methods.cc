// SPDX-License-Identifier: Apache-2.0
// The methods of dicts, lists and tuples. Those that would change them are undefined, as in the
// reference's sandbox.
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "model/chat/arguments.h"
#include "model/chat/compare.h"
#include "model/chat/interpreter.h"
#include "model/chat/subscript.h"

namespace shoal::model::chat {
namespace {

Value unsafe(const Value& object, std::string_view name) {
  return Value::undefined("access to attribute '" + std::string(name) + "' of '" +
                          object.type_name() + "' object is unsafe.");
}

Value view(const Dict& dict, Sequence::Kind kind, Budget& budget) {
  Items items;
  for (const auto& [key, value] : dict.entries()) {
    if (kind == Sequence::Kind::kItems) {
      items.push_back(Value::tuple({key, value}, &budget));
    } else {
      items.push_back(kind == Sequence::Kind::kKeys ? key : value);
    }
  }
  budget.spend(1 + items.size() / 8);
  return Value(std::make_shared<const Sequence>(kind, std::move(items), &budget));
}

template <Sequence::Kind kind>
Function::Body view_body(const Value& object) {
  return [object](Interpreter& run, Arguments arguments) {
    const Bound bound("keys", std::move(arguments), {});
    return view(*object.dict(), kind, run.budget());
  };
}

Value get(const Dict& dict, Arguments arguments) {
  if (!arguments.named.empty()) fail("dict.get() takes no keyword arguments");
  const Bound bound("get", std::move(arguments), {"key", "default"}, 1);
  const Value* value = dict.find(bound[0]);
  if (value != nullptr) return *value;
  return bound.has(1) ? bound[1] : Value();
}

Value index_in(const Sequence& sequence, Interpreter& run, Arguments arguments) {
  const Bound bound("index", std::move(arguments), {"value"}, 1);
  for (std::size_t i = 0; i < sequence.items.size(); ++i) {
    if (equals(sequence.items[i], bound[0], &run.budget()))
      return Value(static_cast<std::int64_t>(i));
  }
  fail("the value is not in the list");
}

Value count_in(const Sequence& sequence, Interpreter& run, Arguments arguments) {
  const Bound bound("count", std::move(arguments), {"value"}, 1);
  std::int64_t count = 0;
  for (const Value& item : sequence.items) count += equals(item, bound[0], &run.budget()) ? 1 : 0;
  return Value(count);
}

}  // namespace

std::optional<Value> dict_method(const Value& object, std::string_view name) {
  using Kind = Sequence::Kind;
  const int depth = object.depth();
  if (name == "get") {
    return function(
        [object](Interpreter&, Arguments arguments) {
          return get(*object.dict(), std::move(arguments));
        },
        depth);
  }
  if (name == "items") return function(view_body<Kind::kItems>(object), depth);
  if (name == "keys") return function(view_body<Kind::kKeys>(object), depth);
  if (name == "values") return function(view_body<Kind::kValues>(object), depth);
  if (name == "copy") {
    return function(
        [object](Interpreter&, Arguments arguments) {
          const Bound bound("copy", std::move(arguments), {});
          return object;  // nothing changes it
        },
        depth);
  }
  static const std::set<std::string_view> kChanging = {"clear", "pop", "popitem", "setdefault",
                                                       "update"};
  if (kChanging.contains(name)) return unsafe(object, name);
  return std::nullopt;
}

std::optional<Value> sequence_method(const Value& object, std::string_view name) {
  using Kind = Sequence::Kind;
  const Sequence& sequence = *object.sequence();
  if (sequence.kind != Kind::kList && sequence.kind != Kind::kTuple &&
      sequence.kind != Kind::kRange) {
    return std::nullopt;
  }
  const int depth = object.depth();
  if (name == "index") {
    return function(
        [object](Interpreter& run, Arguments arguments) {
          return index_in(*object.sequence(), run, std::move(arguments));
        },
        depth);
  }
  if (name == "count") {
    return function(
        [object](Interpreter& run, Arguments arguments) {
          return count_in(*object.sequence(), run, std::move(arguments));
        },
        depth);
  }
  if (sequence.kind != Kind::kList) return std::nullopt;
  if (name == "copy") {
    return function(
        [object](Interpreter&, Arguments arguments) {
          const Bound bound("copy", std::move(arguments), {});
          return object;
        },
        depth);
  }
  static const std::set<std::string_view> kChanging = {"append", "clear",  "extend",  "insert",
                                                       "pop",    "remove", "reverse", "sort"};
  if (kChanging.contains(name)) return unsafe(object, name);
  return std::nullopt;
}

}  // namespace shoal::model::chat
