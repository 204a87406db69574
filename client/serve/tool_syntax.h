// SPDX-License-Identifier: Apache-2.0
// How models of a family write the calls of functions: found by what their chat template says.
// Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/constrain/constraint.h"

namespace shoal::client {

enum class ToolFamily {
  kHermes,        // <tool_call>{"name": ..., "arguments": {...}}</tool_call>, of Qwen too
  kLlama3,        // {"name": ..., "parameters": {...}}, maybe behind <|python_tag|>; ; between
  kMistral,       // [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]
  kMistralNamed,  // [TOOL_CALLS]name[ARGS]{...}, each of them
  kJson,          // {"name": ..., "arguments": {...}}, or a list of them
};

// As --tool-call-parser takes it; nothing for an unknown one.
std::optional<ToolFamily> tool_family_named(std::string_view name);
std::string tool_family_names();  // "hermes, ..."

// By the markers in it; `says`: whether the template contains a text.
ToolFamily tool_family_of(const std::function<bool(std::string_view)>& says);

// Texts that may be control tokens, and belong to the answer.
std::vector<std::string> tool_markers(ToolFamily family);

// All that an answer can be that calls, without its functions. `is_control`: this text is a control
// token of the model.
constrain::CallForm call_form(ToolFamily family,
                              const std::function<bool(std::string_view)>& is_control);

}  // namespace shoal::client
