// SPDX-License-Identifier: Apache-2.0
#include "model/chat/interpreter.h"

#include <string>

#include "model/chat/filters.h"
#include "model/chat/globals.h"

namespace shoal::model::chat {

Interpreter::Interpreter(const Tree& tree, Budget& budget, const std::tm& now)
    : tree_(tree), budget_(budget), now_(now), base_(std::make_shared<Scope>(nullptr, budget)) {
  for (const auto& [name, value] : global_functions()) set_variable(name, value);
}

Interpreter::~Interpreter() {
  // First empty all, then free what was in them: a chain of macros that hold each other's scopes
  // is then not freed one within the other.
  std::vector<std::pair<int, Value>> variables;
  std::vector<std::pair<std::string, Value>> attributes;
  for (const ScopePtr& scope : held_) {
    for (auto& variable : scope->take_variables()) variables.push_back(std::move(variable));
  }
  for (const auto& ns : namespaces_) {
    for (auto& attribute : ns->attributes) attributes.push_back(std::move(attribute));
    ns->attributes.clear();
  }
}

void Interpreter::set_variable(std::string_view name, Value value) {
  for (std::size_t i = 0; i < tree_.names.size(); ++i) {
    if (tree_.names[i] == name) return base_->set(static_cast<int>(i), std::move(value));
  }
}

Text Interpreter::render() {
  TextBuilder out(&budget_);
  run(tree_.body, inner(base_), &out);
  return out.finish();
}

Namespace* Interpreter::new_namespace() {
  namespaces_.push_back(std::make_unique<Namespace>(&budget_));
  return namespaces_.back().get();
}

ScopePtr Interpreter::inner(const ScopePtr& scope) {
  return std::make_shared<Scope>(scope, budget_);
}

void Interpreter::hold(const ScopePtr& scope) {
  if (scope->is_held) return;
  scope->is_held = true;
  held_.push_back(scope);
}

Value Interpreter::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) fail(callee.undefined_message());
  if (callee.object() == nullptr) {
    fail(std::string("'") + callee.type_name() + "' object is not callable");
  }
  return callee.object()->call(*this, std::move(arguments));
}

}  // namespace shoal::model::chat
