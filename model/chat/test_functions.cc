// SPDX-License-Identifier: Apache-2.0
#include "model/chat/test_functions.h"

#include <map>
#include <string>
#include <utility>

#include "model/chat/arguments.h"
#include "model/chat/characters.h"
#include "model/chat/compare.h"
#include "model/chat/filters.h"
#include "model/chat/interpreter.h"
#include "model/chat/operators.h"
#include "model/chat/print.h"
#include "model/chat/text_operations.h"

namespace shoal::model::chat {
namespace {

using Test = bool (*)(Interpreter&, const Value&, const Value& argument);

struct TestEntry {
  int arguments;
  Test test;
};

bool has_remainder(const Value& value, std::int64_t divisor, std::int64_t wanted, Budget& budget) {
  const Value rest = binary(Operator::kModulo, value, Value(divisor), budget);
  return equals(rest, Value(wanted), &budget);
}

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
bool is_in_case(Interpreter& run, const Value& value, const Value&) {
  const Text text = to_text(value, run.budget());
  bool any = false;
  bool good = true;
  for_each_code(text, [&](char32_t code, std::size_t, std::size_t) {
    any = any || wanted(code);
    good = good && !other(code) && !is_title(code);
  });
  return any && good;
}

template <Operator op>
bool compares(Interpreter& run, const Value& value, const Value& argument) {
  return holds(op, value, argument, run.budget());
}

bool is_sequence(const Value& value) {
  using Kind = Sequence::Kind;
  if (value.text() != nullptr || value.dict() != nullptr) return true;
  if (value.is_undefined()) return true;  // it has a length, and [] that fails
  const Sequence* sequence = value.sequence();
  return sequence != nullptr && (sequence->kind == Kind::kList || sequence->kind == Kind::kTuple ||
                                 sequence->kind == Kind::kRange);
}

const std::map<std::string_view, TestEntry>& tests() {
  using V = const Value&;
  using R = Interpreter&;
  static const std::map<std::string_view, TestEntry> kTests = {
      {"odd", {0, [](R run, V value, V) { return has_remainder(value, 2, 1, run.budget()); }}},
      {"even", {0, [](R run, V value, V) { return has_remainder(value, 2, 0, run.budget()); }}},
      {"divisibleby",
       {1,
        [](R run, V value, V number) {
          return equals(binary(Operator::kModulo, value, number, run.budget()),
                        Value(std::int64_t{0}), &run.budget());
        }}},
      {"defined", {0, [](R, V value, V) { return !value.is_undefined(); }}},
      {"undefined", {0, [](R, V value, V) { return value.is_undefined(); }}},
      {"filter",
       {0,
        [](R, V value, V) { return value.text() != nullptr && is_filter(value.text()->bytes()); }}},
      {"test",
       {0,
        [](R, V value, V) { return value.text() != nullptr && is_test(value.text()->bytes()); }}},
      {"none", {0, [](R, V value, V) { return value.is_none(); }}},
      {"boolean", {0, [](R, V value, V) { return value.is_bool(); }}},
      {"false", {0, [](R, V value, V) { return value.is_bool() && !value.truthy(); }}},
      {"true", {0, [](R, V value, V) { return value.is_bool() && value.truthy(); }}},
      {"integer", {0, [](R, V value, V) { return value.is_integer(); }}},
      {"float", {0, [](R, V value, V) { return value.is_float(); }}},
      {"number", {0, [](R, V value, V) { return value.is_number(); }}},
      {"lower", {0, is_in_case<is_lower, is_upper>}},
      {"upper", {0, is_in_case<is_upper, is_lower>}},
      {"string", {0, [](R, V value, V) { return value.text() != nullptr; }}},
      {"mapping", {0, [](R, V value, V) { return value.dict() != nullptr; }}},
      {"sequence", {0, [](R, V value, V) { return is_sequence(value); }}},
      {"iterable", {0, [](R, V value, V) { return is_iterable(value); }}},
      {"callable",
       {0,
        [](R, V value, V) {
          return value.is_undefined() ||
                 (value.object() != nullptr && value.object()->is_callable());
        }}},
      {"sameas", {1, [](R, V value, V other) { return value.same_as(other); }}},
      {"escaped", {0, [](R, V, V) { return false; }}},
      {"in", {1, compares<Operator::kIn>}},
      {"==", {1, compares<Operator::kEqual>}},
      {"eq", {1, compares<Operator::kEqual>}},
      {"equalto", {1, compares<Operator::kEqual>}},
      {"!=", {1, compares<Operator::kNotEqual>}},
      {"ne", {1, compares<Operator::kNotEqual>}},
      {">", {1, compares<Operator::kGreater>}},
      {"gt", {1, compares<Operator::kGreater>}},
      {"greaterthan", {1, compares<Operator::kGreater>}},
      {">=", {1, compares<Operator::kGreaterEqual>}},
      {"ge", {1, compares<Operator::kGreaterEqual>}},
      {"<", {1, compares<Operator::kLess>}},
      {"lt", {1, compares<Operator::kLess>}},
      {"lessthan", {1, compares<Operator::kLess>}},
      {"<=", {1, compares<Operator::kLessEqual>}},
      {"le", {1, compares<Operator::kLessEqual>}},
  };
  return kTests;
}

}  // namespace

bool is_test(std::string_view name) { return tests().contains(name); }

bool apply_test(Interpreter& interpreter, std::string_view name, const Value& value,
                Arguments arguments) {
  interpreter.budget().spend(1);
  const auto found = tests().find(name);
  if (found == tests().end()) fail("No test named '" + std::string(name) + "' found.");
  const auto wanted = static_cast<std::size_t>(found->second.arguments);
  if (arguments.positional.size() + arguments.named.size() != wanted) {
    fail("the test '" + std::string(name) + "' takes " + std::to_string(wanted) +
         " argument(s), not " +
         std::to_string(arguments.positional.size() + arguments.named.size()));
  }
  Value argument;
  if (!arguments.positional.empty()) argument = std::move(arguments.positional[0]);
  if (!arguments.named.empty()) argument = std::move(arguments.named[0].second);
  return found->second.test(interpreter, value, argument);
}

}  // namespace shoal::model::chat
