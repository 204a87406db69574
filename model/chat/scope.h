// SPDX-License-Identifier: Apache-2.0
// Names and their values, within the scope around. Macros hold the scope that they are made in.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "model/chat/budget.h"
#include "model/chat/value.h"

namespace shoal::model::chat {

class Scope;
using ScopePtr = std::shared_ptr<Scope>;

class Scope {
 public:
  Scope(ScopePtr parent, Budget& budget)
      : parent_(std::move(parent)), charge_(&budget, sizeof(Scope) + 32) {}

  // nullptr where no scope has the name.
  const Value* find(int symbol) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent_.get()) {
      if (scope->variables_.size() > 16) charge_.budget()->spend(scope->variables_.size() / 16);
      for (const auto& [own, value] : scope->variables_) {
        if (own == symbol) return &value;
      }
    }
    return nullptr;
  }
  void set(int symbol, Value value) {
    for (auto& [own, old] : variables_) {
      if (own == symbol) {
        std::swap(old, value);
        return;
      }
    }
    charge_.add(sizeof(Value) + sizeof(int));
    variables_.emplace_back(symbol, std::move(value));
  }
  std::vector<std::pair<int, Value>> take_variables() { return std::move(variables_); }

  bool is_held = false;  // by a macro

 private:
  ScopePtr parent_;
  std::vector<std::pair<int, Value>> variables_;
  Charge charge_;
};

}  // namespace shoal::model::chat
