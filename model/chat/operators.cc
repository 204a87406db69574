// SPDX-License-Identifier: Apache-2.0
#include "model/chat/operators.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "model/chat/compare.h"
#include "model/chat/format.h"
#include "model/chat/number.h"

namespace shoal::model::chat {
namespace {

const char* spelling(Operator op) {
  switch (op) {
    case Operator::kAdd:
      return "+";
    case Operator::kSubtract:
      return "-";
    case Operator::kMultiply:
      return "*";
    case Operator::kDivide:
      return "/";
    case Operator::kFloorDivide:
      return "//";
    case Operator::kModulo:
      return "%";
    case Operator::kPower:
      return "**";
    case Operator::kLess:
      return "<";
    case Operator::kLessEqual:
      return "<=";
    case Operator::kGreater:
      return ">";
    case Operator::kGreaterEqual:
      return ">=";
    case Operator::kEqual:
      return "==";
    case Operator::kNotEqual:
      return "!=";
    case Operator::kIn:
      return "in";
    case Operator::kNotIn:
      return "not in";
  }
  return "";
}

[[noreturn]] void refuse_operands(Operator op, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right}) {
    if (value->is_undefined()) fail(value->undefined_message());
  }
  fail(std::string("unsupported operand type(s) for ") + spelling(op) + ": '" + left.type_name() +
       "' and '" + right.type_name() + "'");
}

Value integers(Operator op, std::int64_t left, std::int64_t right) {
  switch (op) {
    case Operator::kAdd:
      return Value(sum(left, right));
    case Operator::kSubtract:
      return Value(difference(left, right));
    case Operator::kMultiply:
      return Value(product(left, right));
    case Operator::kDivide:
      if (right == 0) fail("division by zero");
      return Value(static_cast<double>(left) / static_cast<double>(right));
    case Operator::kFloorDivide:
      if (right == 0) fail("integer division or modulo by zero");
      return Value(floor_quotient(left, right));
    case Operator::kModulo:
      if (right == 0) fail("integer modulo by zero");
      return Value(floor_remainder(left, right));
    default:
      if (right >= 0) return Value(power(left, right));
      if (left == 0) fail("0.0 cannot be raised to a negative power");
      return Value(std::pow(static_cast<double>(left), static_cast<double>(right)));
  }
}

Value floats(Operator op, double left, double right) {
  switch (op) {
    case Operator::kAdd:
      return Value(left + right);
    case Operator::kSubtract:
      return Value(left - right);
    case Operator::kMultiply:
      return Value(left * right);
    case Operator::kDivide:
      if (right == 0) fail("float division by zero");
      return Value(left / right);
    case Operator::kFloorDivide: {
      if (right == 0) fail("float floor division by zero");
      const double rest = float_remainder(left, right);
      return Value(std::nearbyint((left - rest) / right));
    }
    case Operator::kModulo:
      if (right == 0) fail("float modulo");
      return Value(float_remainder(left, right));
    default: {
      if (left == 0 && right < 0) fail("0.0 cannot be raised to a negative power");
      const double value = std::pow(left, right);
      if (std::isnan(value) && !std::isnan(left) && !std::isnan(right)) {
        fail("a power that is a complex number is not supported");
      }
      if (std::isinf(value) && std::isfinite(left) && std::isfinite(right)) {
        fail("Numerical result out of range");
      }
      return Value(value);
    }
  }
}

bool is_list_or_tuple(const Value& value) {
  const Sequence* sequence = value.sequence();
  return sequence != nullptr &&
         (sequence->kind == Sequence::Kind::kList || sequence->kind == Sequence::Kind::kTuple);
}

Value joined(const Sequence& left, const Sequence& right, Budget& budget) {
  Items items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  budget.spend(1 + items.size() / 8);
  return Value(std::make_shared<const Sequence>(left.kind, std::move(items), &budget));
}

Value repeated_text(const Text& text, std::int64_t times, Budget& budget) {
  TextBuilder out(&budget);
  for (std::int64_t i = 0; i < times && !text.empty(); ++i) out.append(text);
  return Value(out.finish());
}

Value repeated_items(const Sequence& sequence, std::int64_t times, Budget& budget) {
  Items items;
  if (times > 0 && !sequence.items.empty()) {
    const auto most = budget.limits().memory_bytes / sizeof(Value) / sequence.items.size();
    if (static_cast<std::uint64_t>(times) > most) budget.take(budget.limits().memory_bytes + 1);
    budget.spend(sequence.items.size() * static_cast<std::size_t>(times));
    for (std::int64_t i = 0; i < times; ++i) {
      items.insert(items.end(), sequence.items.begin(), sequence.items.end());
    }
  }
  return Value(std::make_shared<const Sequence>(sequence.kind, std::move(items), &budget));
}

bool is_no_number(const Value& value) { return value.is_float() && std::isnan(*value.as_double()); }

}  // namespace

Value binary(Operator op, const Value& left, const Value& right, Budget& budget) {
  if (left.is_number() && right.is_number()) {
    if (left.is_float() || right.is_float()) {
      return floats(op, *left.as_double(), *right.as_double());
    }
    return integers(op, *left.as_integer(), *right.as_integer());
  }
  if (op == Operator::kAdd) {
    if (left.text() != nullptr && right.text() != nullptr) {
      TextBuilder out(&budget);
      out.append(*left.text());
      out.append(*right.text());
      return Value(out.finish());
    }
    if (is_list_or_tuple(left) && is_list_or_tuple(right) &&
        left.sequence()->kind == right.sequence()->kind) {
      return joined(*left.sequence(), *right.sequence(), budget);
    }
  }
  if (op == Operator::kMultiply) {
    for (const auto& [value, times] : {std::pair(&left, &right), std::pair(&right, &left)}) {
      const std::optional<std::int64_t> count = times->as_integer();
      if (!count) continue;
      if (value->text() != nullptr) return repeated_text(*value->text(), *count, budget);
      if (is_list_or_tuple(*value)) return repeated_items(*value->sequence(), *count, budget);
    }
  }
  if (op == Operator::kModulo && left.text() != nullptr && !right.is_undefined()) {
    return Value(percent_format(*left.text(), right, budget));
  }
  refuse_operands(op, left, right);
}

bool holds(Operator op, const Value& left, const Value& right, Budget& budget) {
  switch (op) {
    case Operator::kEqual:
      return equals(left, right, &budget);
    case Operator::kNotEqual:
      return !equals(left, right, &budget);
    case Operator::kIn:
      return contains(right, left, &budget);
    case Operator::kNotIn:
      return !contains(right, left, &budget);
    default:
      break;
  }
  const int sign = order(left, right, spelling(op), &budget);
  if (is_no_number(left) || is_no_number(right)) return false;
  switch (op) {
    case Operator::kLess:
      return sign < 0;
    case Operator::kLessEqual:
      return sign <= 0;
    case Operator::kGreater:
      return sign > 0;
    default:
      return sign >= 0;
  }
}

Value negated(const Value& value) {
  if (value.is_float()) return Value(-*value.as_double());
  if (const std::optional<std::int64_t> integer = value.as_integer()) {
    return Value(difference(0, *integer));
  }
  if (value.is_undefined()) fail(value.undefined_message());
  fail(std::string("bad operand type for unary -: '") + value.type_name() + "'");
}

Value affirmed(const Value& value) {
  if (value.is_float()) return value;
  if (const std::optional<std::int64_t> integer = value.as_integer()) return Value(*integer);
  if (value.is_undefined()) fail(value.undefined_message());
  fail(std::string("bad operand type for unary +: '") + value.type_name() + "'");
}

}  // namespace shoal::model::chat
