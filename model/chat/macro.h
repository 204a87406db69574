// SPDX-License-Identifier: Apache-2.0
// A macro, or the caller of a call block: a body with parameters and the scope that it was made in.
#pragma once

#include <optional>
#include <string_view>

#include "model/chat/scope.h"
#include "model/chat/tree.h"
#include "model/chat/value.h"

namespace shoal::model::chat {

class Macro : public Object {
 public:
  Macro(const Statement& node, ScopePtr scope) : node_(node), scope_(std::move(scope)) {}

  const char* type_name() const override { return "Macro"; }
  Value call(Interpreter& interpreter, Arguments arguments) override;
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;

 private:
  void bind(Interpreter& interpreter, Arguments arguments, const ScopePtr& scope);

  const Statement& node_;
  ScopePtr scope_;
};

}  // namespace shoal::model::chat
