// SPDX-License-Identifier: Apache-2.0
#include "model/chat/macro.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "model/chat/interpreter.h"

namespace shoal::model::chat {

void Macro::bind(Interpreter& interpreter, Arguments arguments, const ScopePtr& scope) {
  const Tree& tree = interpreter.tree();
  const Signature& signature = node_.signature;
  const std::string shown = node_.name.empty() ? "caller" : node_.name;
  const std::size_t count = signature.parameters.size();
  const auto take_named = [&](std::string_view name) -> std::optional<Value> {
    for (auto given = arguments.named.begin(); given != arguments.named.end(); ++given) {
      if (given->first != name) continue;
      Value value = std::move(given->second);
      arguments.named.erase(given);
      return value;
    }
    return std::nullopt;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const int symbol = signature.parameters[i];
    const std::string& name = tree.names[static_cast<std::size_t>(symbol)];
    if (i < arguments.positional.size()) {
      scope->set(symbol, std::move(arguments.positional[i]));
    } else if (std::optional<Value> value = take_named(name)) {
      scope->set(symbol, std::move(*value));
    } else if (i + signature.defaults.size() >= count) {
      const std::size_t place = i + signature.defaults.size() - count;
      scope->set(symbol, interpreter.evaluate(*signature.defaults[place], scope));
    } else {
      scope->set(symbol, Value::undefined("parameter '" + name + "' was not provided"));
    }
  }
  const bool names_caller = std::find(signature.parameters.begin(), signature.parameters.end(),
                                      tree.caller) != signature.parameters.end();
  if (signature.uses_caller && !names_caller) {
    scope->set(tree.caller, take_named("caller").value_or(Value::undefined("No caller defined")));
  }
  if (signature.uses_kwargs) {
    auto rest = std::make_shared<Dict>(&interpreter.budget());
    for (auto& [name, value] : arguments.named) {
      rest->set(Value(Text(name, true, &interpreter.budget())), std::move(value));
    }
    scope->set(tree.kwargs, Value(std::shared_ptr<const Dict>(std::move(rest))));
  } else if (!arguments.named.empty()) {
    fail("macro '" + shown + "' takes no keyword argument '" + arguments.named[0].first + "'");
  }
  if (signature.uses_varargs) {
    Items rest;
    for (std::size_t i = count; i < arguments.positional.size(); ++i) {
      rest.push_back(std::move(arguments.positional[i]));
    }
    scope->set(tree.varargs, Value::tuple(std::move(rest), &interpreter.budget()));
  } else if (arguments.positional.size() > count) {
    fail("macro '" + shown + "' takes not more than " + std::to_string(count) + " argument(s)");
  }
}

Value Macro::call(Interpreter& interpreter, Arguments arguments) {
  const ScopePtr scope = interpreter.inner(scope_);
  bind(interpreter, std::move(arguments), scope);
  TextBuilder out(&interpreter.budget());
  interpreter.run(node_.body, scope, &out);
  return Value(out.finish());
}

std::optional<Value> Macro::attribute(Interpreter& interpreter, std::string_view name) {
  Budget& budget = interpreter.budget();
  if (name == "name") {
    return node_.name.empty() ? Value() : Value(Text(node_.name, true, &budget));
  }
  if (name == "arguments") {
    Items names;
    for (const int symbol : node_.signature.parameters) {
      names.emplace_back(
          Text(interpreter.tree().names[static_cast<std::size_t>(symbol)], true, &budget));
    }
    return Value::tuple(std::move(names), &budget);
  }
  if (name == "caller") return Value(node_.signature.uses_caller);
  if (name == "catch_kwargs") return Value(node_.signature.uses_kwargs);
  if (name == "catch_varargs") return Value(node_.signature.uses_varargs);
  return std::nullopt;
}

}  // namespace shoal::model::chat
