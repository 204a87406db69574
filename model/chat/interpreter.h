// SPDX-License-Identifier: Apache-2.0
// Runs a parsed template. One rendering, one thread; owns its namespaces and the scopes that
// macros hold, and frees them at its end, since they may hold each other. Scoping is Jinja's:
// loops, macros, with, call, filter and set blocks have names of their own, `if` has not. Throws
// TemplateError.
#pragma once

#include <ctime>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "model/chat/budget.h"
#include "model/chat/scope.h"
#include "model/chat/tree.h"
#include "model/chat/value.h"

namespace shoal::model::chat {

class Interpreter {
 public:
  // `tree`, `budget` outlive it. `now`: local time, for strftime_now.
  Interpreter(const Tree& tree, Budget& budget, const std::tm& now);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter();

  void set_variable(std::string_view name, Value value);  // if the template names it
  Text render();

  Budget& budget() { return budget_; }
  const std::tm& now() const { return now_; }
  Namespace* new_namespace();
  Value call(const Value& callee, Arguments arguments);

  // For macros and loops.
  enum class Flow { kNormal, kBreak, kContinue };
  Value evaluate(const Expression& node, const ScopePtr& scope);
  Flow run(const Body& body, const ScopePtr& scope, TextBuilder* out);
  void assign(const Expression& target, const ScopePtr& scope, Value value);
  ScopePtr inner(const ScopePtr& scope);
  void hold(const ScopePtr& scope);  // until the end
  const Tree& tree() const { return tree_; }

 private:
  Value evaluate_node(const Expression& node, const ScopePtr& scope);
  Value name(const Expression& node, const ScopePtr& scope);
  Value dict(const Expression& node, const ScopePtr& scope);
  Value slice(const Expression& node, const ScopePtr& scope);
  Value conditional(const Expression& node, const ScopePtr& scope);
  Value concat(const Expression& node, const ScopePtr& scope);
  Value compare(const Expression& node, const ScopePtr& scope);
  Value call_node(const Expression& node, const ScopePtr& scope);
  Items evaluate_all(const std::vector<ExpressionPtr>& nodes, const ScopePtr& scope);
  Arguments arguments(const CallParts& parts, const ScopePtr& scope);
  Value filtered(const Expression& filter, Value value, const ScopePtr& scope);

  Flow run_statement(const Statement& node, const ScopePtr& scope, TextBuilder* out);
  Flow run_if(const Statement& node, const ScopePtr& scope, TextBuilder* out);
  Flow run_for(const Statement& node, const Value& over, const ScopePtr& scope, TextBuilder* out,
               int nesting);
  Flow run_set_block(const Statement& node, const ScopePtr& scope);
  void run_call_block(const Statement& node, const ScopePtr& scope, TextBuilder* out);
  Flow run_filter_block(const Statement& node, const ScopePtr& scope, TextBuilder* out);
  Flow run_with(const Statement& node, const ScopePtr& scope, TextBuilder* out);
  void write(const Value& value, TextBuilder* out);

  const Tree& tree_;
  Budget& budget_;
  std::tm now_;
  int depth_ = 0;
  ScopePtr base_;  // what is given to the template, and the global functions
  std::vector<std::unique_ptr<Namespace>> namespaces_;
  std::vector<ScopePtr> held_;
};

}  // namespace shoal::model::chat
