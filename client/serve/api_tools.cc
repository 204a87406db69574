// SPDX-License-Identifier: Apache-2.0
#include "client/serve/api_tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "client/serve/api_error.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxName = 64;
constexpr std::string_view kNameCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

bool is_name(const Json& name) {
  if (!name.is_string()) return false;
  const std::string& text = name.get_ref<const std::string&>();
  return !text.empty() && text.size() <= kMaxName &&
         text.find_first_not_of(kNameCharacters) == std::string::npos;
}

absl::Status check_tool(const Json& tool, std::size_t index) {
  const std::string param = fmt::format("tools[{}]", index);
  if (!tool.is_object() || tool.value("type", Json()) != "function") {
    return unsupported_field(param, "must have the type function: no other is supported");
  }
  const auto function = tool.find("function");
  if (function == tool.end() || !function->is_object()) {
    return bad_field(param + ".function", "expected an object with a name and parameters");
  }
  if (!is_name(function->value("name", Json()))) {
    return bad_field(param + ".function.name",
                     fmt::format("expected 1 to {} letters, digits, _, . or -", kMaxName));
  }
  const auto parameters = function->find("parameters");
  if (parameters != function->end() && !parameters->is_object() && !parameters->is_null()) {
    return bad_field(param + ".function.parameters", "expected a schema");
  }
  return absl::OkStatus();
}

// Arguments are always an object.
Json schema_of(const Json& function) {
  const auto parameters = function.find("parameters");
  const bool any = parameters == function.end() || parameters->is_null() || parameters->empty();
  Json schema = any ? Json{{"type", "object"}} : *parameters;
  if (!schema.contains("type") && !schema.contains("$ref")) schema["type"] = "object";
  return schema;
}

absl::Status read_choice(const Json& choice, ToolQuery& query) {
  if (choice == "none") {
    query.choice = ToolQuery::Choice::kNone;
  } else if (choice == "required") {
    query.choice = ToolQuery::Choice::kRequired;
  } else if (choice.is_object()) {
    if (choice.value("type", Json("function")) != "function") {
      return unsupported_field("tool_choice", "is supported as none, auto, required or a function");
    }
    const Json function = choice.value("function", Json::object());
    const Json name = function.is_object() ? function.value("name", Json()) : Json();
    std::erase_if(query.functions, [&](const auto& one) { return one.first != name; });
    if (query.functions.empty()) {
      return bad_field("tool_choice", "names a function that is none of the tools");
    }
    query.choice = ToolQuery::Choice::kRequired;
    query.several = false;
  } else if (choice != "auto") {
    return bad_field("tool_choice", "expected none, auto, required or a function");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Json> read_tool_list(const ApiFields& fields) {
  const Json* tools = fields.find("tools");
  if (tools == nullptr || (tools->is_array() && tools->empty())) return Json();
  if (!tools->is_array() || tools->size() > kMaxTools) {
    return bad_field("tools", fmt::format("expected a list of at most {} tools", kMaxTools));
  }
  for (std::size_t i = 0; i < tools->size(); ++i) {
    if (auto status = check_tool((*tools)[i], i); !status.ok()) return status;
  }
  return *tools;
}

absl::StatusOr<std::optional<ToolQuery>> read_tools(ApiFields& fields) {
  auto list = read_tool_list(fields);
  if (!list.ok()) return list.status();
  const Json* choice = fields.find("tool_choice");
  if (list->is_null()) {
    if (choice != nullptr && *choice != "none" && *choice != "auto") {
      return bad_field("tool_choice", "needs tools");
    }
    return std::optional<ToolQuery>();
  }
  ToolQuery query;
  query.tools = *std::move(list);
  for (const Json& tool : query.tools) {
    query.functions.emplace_back(tool["function"]["name"], schema_of(tool["function"]));
  }
  query.several = fields.boolean("parallel_tool_calls", true);
  if (choice != nullptr) {
    if (auto status = read_choice(*choice, query); !status.ok()) return status;
  }
  return std::optional<ToolQuery>(std::move(query));
}

absl::Status check_tool_calls(const Json& message, std::size_t index) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || calls->is_null()) return absl::OkStatus();
  const std::string param = fmt::format("messages[{}].tool_calls", index);
  if (!calls->is_array()) return bad_field(param, "expected a list");
  for (const Json& call : *calls) {
    const Json function = call.is_object() ? call.value("function", Json()) : Json();
    const bool good = function.is_object() && function.contains("name") &&
                      function["name"].is_string() &&
                      (!function.contains("arguments") || function["arguments"].is_string() ||
                       function["arguments"].is_object());
    if (!good) return bad_field(param, "expected functions, with a name and arguments as a text");
  }
  return absl::OkStatus();
}

}  // namespace shoal::client
