// SPDX-License-Identifier: Apache-2.0
#include "client/serve/tool_syntax.h"

#include <utility>

#include "client/constrain/piece_trie.h"

namespace shoal::client {
namespace {

constexpr std::pair<std::string_view, ToolFamily> kFamilies[] = {
    {"hermes", ToolFamily::kHermes},   {"llama3_json", ToolFamily::kLlama3},
    {"mistral", ToolFamily::kMistral}, {"mistral_named", ToolFamily::kMistralNamed},
    {"json", ToolFamily::kJson},
};

}  // namespace

std::optional<ToolFamily> tool_family_named(std::string_view name) {
  for (const auto& [known, family] : kFamilies) {
    if (known == name) return family;
  }
  return std::nullopt;
}

std::string tool_family_names() {
  std::string names;
  for (const auto& entry : kFamilies) {
    if (!names.empty()) names += ", ";
    names += entry.first;
  }
  return names;
}

ToolFamily tool_family_of(const std::function<bool(std::string_view)>& says) {
  if (says("[TOOL_CALLS]"))
    return says("[ARGS]") ? ToolFamily::kMistralNamed : ToolFamily::kMistral;
  if (says("<tool_call>")) return ToolFamily::kHermes;
  if (says("<|python_tag|>") || (says("<|start_header_id|>") && says("parameters"))) {
    return ToolFamily::kLlama3;
  }
  return ToolFamily::kJson;
}

std::vector<std::string> tool_markers(ToolFamily family) {
  switch (family) {
    case ToolFamily::kHermes:
      return {"<tool_call>", "</tool_call>"};
    case ToolFamily::kLlama3:
      return {"<|python_tag|>"};
    case ToolFamily::kMistral:
    case ToolFamily::kMistralNamed:
      return {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"};
    case ToolFamily::kJson:
      break;
  }
  return {};
}

constrain::CallForm call_form(ToolFamily family,
                              const std::function<bool(std::string_view)>& is_control) {
  const auto mark = [&](const char* text) {
    return is_control(text) ? constrain::control_mark(text) : std::string(text);
  };
  constrain::CallForm form;
  form.before = R"({"name": ")";
  form.middle = R"(", "arguments": )";
  form.after = "}";
  switch (family) {
    case ToolFamily::kHermes:
      form.before = mark("<tool_call>") + "\n" + form.before;
      form.after = "}\n" + mark("</tool_call>");
      form.between = "\n";
      break;
    case ToolFamily::kLlama3:
      form.middle = R"(", "parameters": )";
      form.between = "; ";
      break;
    case ToolFamily::kMistral:
      form.begin = mark("[TOOL_CALLS]") + "[";
      form.between = ", ";
      form.end = "]";
      break;
    case ToolFamily::kMistralNamed:
      form.before = mark("[TOOL_CALLS]");
      form.middle = mark("[ARGS]");
      form.after = "";
      break;
    case ToolFamily::kJson:
      form.between = "\n";
      break;
  }
  return form;
}

}  // namespace shoal::client
