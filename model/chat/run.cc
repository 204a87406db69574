// SPDX-License-Identifier: Apache-2.0
// Statements.
#include <string>
#include <utility>

#include "model/chat/compare.h"
#include "model/chat/interpreter.h"
#include "model/chat/loop.h"
#include "model/chat/macro.h"
#include "model/chat/nested.h"
#include "model/chat/print.h"

namespace shoal::model::chat {
namespace {

// However a for statement ends, its loop is told: it would else hold the scope that holds it.
class LoopEnd {
 public:
  explicit LoopEnd(Loop& loop) : loop_(loop) {}
  LoopEnd(const LoopEnd&) = delete;
  LoopEnd& operator=(const LoopEnd&) = delete;
  ~LoopEnd() { loop_.detach(); }

 private:
  Loop& loop_;
};

}  // namespace

void Interpreter::write(const Value& value, TextBuilder* out) {
  append_text(value, out, budget_);
  if (out->size() > budget_.limits().output_bytes) {
    throw TemplateError(TemplateError::Kind::kExhausted,
                        "the template writes more than " +
                            std::to_string(budget_.limits().output_bytes) +
                            " bytes; shorten the conversation");
  }
}

Interpreter::Flow Interpreter::run(const Body& body, const ScopePtr& scope, TextBuilder* out) {
  for (const auto& statement : body) {
    const Flow flow = run_statement(*statement, scope, out);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_statement(const Statement& node, const ScopePtr& scope,
                                             TextBuilder* out) {
  using Kind = Statement::Kind;
  const Nested nested(&depth_, budget_);
  budget_.spend(1);
  try {
    switch (node.kind) {
      case Kind::kData:
        write(Value(node.data), out);
        return Flow::kNormal;
      case Kind::kOutput:
        for (const ExpressionPtr& part : node.expressions) write(evaluate(*part, scope), out);
        return Flow::kNormal;
      case Kind::kFor:
        return run_for(node, evaluate(*node.value, scope), scope, out, 0);
      case Kind::kIf:
        return run_if(node, scope, out);
      case Kind::kSet:
        assign(*node.target, scope, evaluate(*node.value, scope));
        return Flow::kNormal;
      case Kind::kSetBlock:
        return run_set_block(node, scope);
      case Kind::kMacro:
        hold(scope);
        scope->set(node.symbol,
                   Value(std::static_pointer_cast<Object>(std::make_shared<Macro>(node, scope))));
        return Flow::kNormal;
      case Kind::kCallBlock:
        run_call_block(node, scope, out);
        return Flow::kNormal;
      case Kind::kFilterBlock:
        return run_filter_block(node, scope, out);
      case Kind::kWith:
        return run_with(node, scope, out);
      case Kind::kGeneration:
        return run(node.body, inner(scope), out);
      case Kind::kBreak:
        return Flow::kBreak;
      case Kind::kContinue:
        return Flow::kContinue;
    }
  } catch (TemplateError& error) {
    if (error.place.line == 0) error.place = node.place;
    throw;
  }
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_if(const Statement& node, const ScopePtr& scope,
                                      TextBuilder* out) {
  for (std::size_t i = 0; i < node.expressions.size(); ++i) {
    if (evaluate(*node.expressions[i], scope).truthy()) return run(node.bodies[i], scope, out);
  }
  return run(node.else_body, scope, out);
}

Interpreter::Flow Interpreter::run_for(const Statement& node, const Value& over,
                                       const ScopePtr& scope, TextBuilder* out, int nesting) {
  Loop::Accept accept;
  if (node.test != nullptr) {
    accept = [this, &node, scope](const Value& item) {
      const ScopePtr inside = inner(scope);
      assign(*node.target, inside, item);
      return evaluate(*node.test, inside).truthy();
    };
  }
  Loop::Recurse recurse;
  if (node.recursive) {
    recurse = [this, &node, scope](const Value& items, int depth) {
      const Nested nested(&depth_, budget_);
      TextBuilder inside(&budget_);
      run_for(node, items, scope, &inside, depth);
      return Value(inside.finish());
    };
  }
  const auto loop = std::make_shared<Loop>(items_of(over, budget_), std::move(accept),
                                           std::move(recurse), nesting, &budget_);
  const LoopEnd end(*loop);
  bool any_completed = false;
  while (loop->advance()) {
    budget_.spend(1);
    const ScopePtr inside = inner(scope);
    inside->set(tree_.loop, Value(std::static_pointer_cast<Object>(loop)));
    assign(*node.target, inside, loop->current());
    const Flow flow = run(node.body, inside, out);
    any_completed = any_completed || flow == Flow::kNormal;
    if (flow == Flow::kBreak) break;
  }
  // As the reference has it: where each pass was left by break or continue, too.
  return any_completed ? Flow::kNormal : run(node.else_body, inner(scope), out);
}

void Interpreter::assign(const Expression& target, const ScopePtr& scope, Value value) {
  if (target.kind == Expression::Kind::kName) return scope->set(target.symbol, std::move(value));
  if (target.kind == Expression::Kind::kNamespaceItem) {
    const Value* found = scope->find(target.symbol);
    Namespace* ns = found == nullptr ? nullptr : found->ns();
    if (ns == nullptr) fail("cannot assign attribute on non-namespace object");
    if (target.name.starts_with('_')) {
      fail("an attribute of a namespace may not begin with an underscore: '" + target.name + "'");
    }
    return ns->set(target.name, std::move(value));
  }
  Items items = items_of(value, budget_);
  if (items.size() != target.parts.size()) {
    fail("cannot unpack " + std::to_string(items.size()) + " values into " +
         std::to_string(target.parts.size()));
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    assign(*target.parts[i], scope, std::move(items[i]));
  }
}

Interpreter::Flow Interpreter::run_set_block(const Statement& node, const ScopePtr& scope) {
  TextBuilder inside(&budget_);
  const Flow flow = run(node.body, inner(scope), &inside);
  if (flow != Flow::kNormal) return flow;
  Value value(inside.finish());
  if (node.filter != nullptr) value = filtered(*node.filter, std::move(value), scope);
  assign(*node.target, scope, std::move(value));
  return Flow::kNormal;
}

void Interpreter::run_call_block(const Statement& node, const ScopePtr& scope, TextBuilder* out) {
  hold(scope);
  const Value callee = evaluate(*node.value->parts[0], scope);
  Arguments given = arguments(node.value->call, scope);
  given.named.emplace_back(
      "caller", Value(std::static_pointer_cast<Object>(std::make_shared<Macro>(node, scope))));
  write(call(callee, std::move(given)), out);
}

Interpreter::Flow Interpreter::run_filter_block(const Statement& node, const ScopePtr& scope,
                                                TextBuilder* out) {
  TextBuilder inside(&budget_);
  const Flow flow = run(node.body, inner(scope), &inside);
  if (flow != Flow::kNormal) return flow;
  write(filtered(*node.filter, Value(inside.finish()), scope), out);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::run_with(const Statement& node, const ScopePtr& scope,
                                        TextBuilder* out) {
  const ScopePtr inside = inner(scope);
  for (std::size_t i = 0; i < node.targets.size(); ++i) {
    assign(*node.targets[i], inside, evaluate(*node.expressions[i], scope));
  }
  return run(node.body, inside, out);
}

}  // namespace shoal::model::chat
