// SPDX-License-Identifier: Apache-2.0
// Expressions.
#include <utility>

#include "model/chat/compare.h"
#include "model/chat/filters.h"
#include "model/chat/interpreter.h"
#include "model/chat/nested.h"
#include "model/chat/operators.h"
#include "model/chat/print.h"
#include "model/chat/subscript.h"
#include "model/chat/test_functions.h"

namespace shoal::model::chat {

Value Interpreter::evaluate(const Expression& node, const ScopePtr& scope) {
  const Nested nested(&depth_, budget_);
  budget_.spend(1);
  try {
    return evaluate_node(node, scope);
  } catch (TemplateError& error) {
    if (error.place.line == 0) error.place = node.place;  // the innermost knows best
    throw;
  }
}

Value Interpreter::evaluate_node(const Expression& node, const ScopePtr& scope) {
  const auto part = [&](std::size_t i) { return evaluate(*node.parts[i], scope); };
  switch (node.kind) {
    case Expression::Kind::kConstant:
      return node.constant;
    case Expression::Kind::kName:
      return name(node, scope);
    case Expression::Kind::kTuple:
      return Value::tuple(evaluate_all(node.parts, scope), &budget_);
    case Expression::Kind::kList:
      return Value::list(evaluate_all(node.parts, scope), &budget_);
    case Expression::Kind::kDict:
      return dict(node, scope);
    case Expression::Kind::kAttribute:
      return attribute_of(*this, part(0), node.name);
    case Expression::Kind::kItem: {
      const Value object = part(0);
      return item_of(*this, object, part(1));
    }
    case Expression::Kind::kSlice:
      return slice(node, scope);
    case Expression::Kind::kCall:
      return call_node(node, scope);
    case Expression::Kind::kFilter:
      return filtered(node, Value(), scope);
    case Expression::Kind::kTest: {
      Value value = part(0);
      return Value(apply_test(*this, node.name, value, arguments(node.call, scope)));
    }
    case Expression::Kind::kConditional:
      return conditional(node, scope);
    case Expression::Kind::kAnd: {
      Value left = part(0);
      return left.truthy() ? part(1) : left;
    }
    case Expression::Kind::kOr: {
      Value left = part(0);
      return left.truthy() ? left : part(1);
    }
    case Expression::Kind::kNot:
      return Value(!part(0).truthy());
    case Expression::Kind::kNegative:
      return negated(part(0));
    case Expression::Kind::kPositive:
      return affirmed(part(0));
    case Expression::Kind::kBinary: {
      const Value left = part(0);
      return binary(node.op, left, part(1), budget_);
    }
    case Expression::Kind::kConcat:
      return concat(node, scope);
    case Expression::Kind::kCompare:
      return compare(node, scope);
    case Expression::Kind::kNamespaceItem:
      break;
  }
  fail("this stands where a value is expected");
}

Value Interpreter::name(const Expression& node, const ScopePtr& scope) {
  const Value* value = scope->find(node.symbol);
  if (value != nullptr) return *value;
  return Value::undefined("'" + tree_.names[static_cast<std::size_t>(node.symbol)] +
                          "' is undefined");
}

Items Interpreter::evaluate_all(const std::vector<ExpressionPtr>& nodes, const ScopePtr& scope) {
  Items items;
  items.reserve(nodes.size());
  for (const ExpressionPtr& node : nodes) items.push_back(evaluate(*node, scope));
  return items;
}

Value Interpreter::dict(const Expression& node, const ScopePtr& scope) {
  auto result = std::make_shared<Dict>(&budget_);
  for (std::size_t i = 0; i + 1 < node.parts.size(); i += 2) {
    const Value key = evaluate(*node.parts[i], scope);
    result->set(key, evaluate(*node.parts[i + 1], scope));
  }
  return Value(std::shared_ptr<const Dict>(std::move(result)));
}

Value Interpreter::slice(const Expression& node, const ScopePtr& scope) {
  const Value object = evaluate(*node.parts[0], scope);
  Items bounds;  // none where not given
  for (std::size_t i = 1; i < 4; ++i) {
    bounds.push_back(node.parts[i] == nullptr ? Value() : evaluate(*node.parts[i], scope));
  }
  return slice_of(object, bounds[0], bounds[1], bounds[2], budget_);
}

Value Interpreter::conditional(const Expression& node, const ScopePtr& scope) {
  if (evaluate(*node.parts[1], scope).truthy()) return evaluate(*node.parts[0], scope);
  if (node.parts[2] != nullptr) return evaluate(*node.parts[2], scope);
  return Value::undefined("the inline if-expression on line " + std::to_string(node.place.line) +
                          " evaluated to false and no else section was defined.");
}

Value Interpreter::concat(const Expression& node, const ScopePtr& scope) {
  TextBuilder out(&budget_);
  const Items items = evaluate_all(node.parts, scope);  // all, before the first is printed
  for (const Value& item : items) append_text(item, &out, budget_);
  return Value(out.finish());
}

Value Interpreter::compare(const Expression& node, const ScopePtr& scope) {
  Value left = evaluate(*node.parts[0], scope);
  for (std::size_t i = 0; i < node.ops.size(); ++i) {
    Value right = evaluate(*node.parts[i + 1], scope);
    if (!holds(node.ops[i], left, right, budget_)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Arguments Interpreter::arguments(const CallParts& parts, const ScopePtr& scope) {
  Arguments result;
  result.positional = evaluate_all(parts.positional, scope);
  for (const auto& [name, node] : parts.named)
    result.named.emplace_back(name, evaluate(*node, scope));
  if (parts.star != nullptr) {
    for (Value& item : items_of(evaluate(*parts.star, scope), budget_)) {
      result.positional.push_back(std::move(item));
    }
  }
  if (parts.star_star != nullptr) {
    const Value value = evaluate(*parts.star_star, scope);
    if (value.dict() == nullptr) fail("the argument after ** must be a mapping");
    budget_.spend(value.dict()->entries().size());
    for (const auto& [key, item] : value.dict()->entries()) {
      if (key.text() == nullptr) fail("keywords must be strings");
      for (const auto& given : result.named) {
        if (given.first == key.text()->bytes()) {
          fail("got multiple values for keyword argument '" + given.first + "'");
        }
      }
      result.trusted_names = result.trusted_names && key.text()->is_trusted();
      result.named.emplace_back(std::string(key.text()->bytes()), item);
    }
  }
  return result;
}

Value Interpreter::call_node(const Expression& node, const ScopePtr& scope) {
  const Value callee = evaluate(*node.parts[0], scope);
  return call(callee, arguments(node.call, scope));
}

Value Interpreter::filtered(const Expression& filter, Value value, const ScopePtr& scope) {
  if (filter.parts[0] != nullptr) {
    const Expression& inside = *filter.parts[0];
    // In a filter block the innermost filter has no expression: it gets the block's text.
    value = inside.kind == Expression::Kind::kFilter ? filtered(inside, std::move(value), scope)
                                                     : evaluate(inside, scope);
  }
  try {
    return apply_filter(*this, filter.name, value, arguments(filter.call, scope));
  } catch (TemplateError& error) {
    if (error.place.line == 0) error.place = filter.place;
    throw;
  }
}

}  // namespace shoal::model::chat
