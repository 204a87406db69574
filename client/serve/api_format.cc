// SPDX-License-Identifier: Apache-2.0
#include "client/serve/api_format.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "client/serve/api_error.h"
#include "model/json_fields.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;
using constrain::ChoiceForm;
using constrain::JsonForm;
using constrain::RegexForm;

constexpr int kMaxSchemaDepth = 64;
constexpr std::size_t kMaxSchemaValues = 1u << 17;

absl::StatusOr<FormQuery> regex_form(const std::string& param, const Json& value) {
  if (!value.is_string()) return bad_field(param, "expected a regular expression as a text");
  return FormQuery{param, RegexForm{value.get<std::string>()}};
}

absl::StatusOr<FormQuery> choice_form(const std::string& param, const Json& value) {
  ChoiceForm form;
  if (!value.is_array() || value.empty()) return bad_field(param, "expected a list of texts");
  for (const Json& text : value) {
    if (!text.is_string()) return bad_field(param, "expected a list of texts");
    form.texts.push_back(text.get<std::string>());
  }
  return FormQuery{param, std::move(form)};
}

// A schema, also as a text that holds one.
absl::StatusOr<FormQuery> schema_form(const std::string& param, const Json& value) {
  if (!value.is_string()) {
    if (!value.is_object() && !value.is_boolean()) return bad_field(param, "expected a schema");
    return FormQuery{param, JsonForm{value}};
  }
  const std::string& text = value.get_ref<const std::string&>();
  if (!model::has_bounded_shape(text, kMaxSchemaDepth, kMaxSchemaValues)) {
    return bad_field(param, "the schema nests too deep, or is too large");
  }
  Json schema = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!schema.is_object() && !schema.is_boolean()) {
    return bad_field(param, "expected a schema, or a text with one in JSON");
  }
  return FormQuery{param, JsonForm{std::move(schema)}};
}

FormQuery object_form(const std::string& param) { return {param, JsonForm{{{"type", "object"}}}}; }

absl::Status add(std::vector<FormQuery>& forms, absl::StatusOr<FormQuery> form) {
  if (!form.ok()) return form.status();
  forms.push_back(*std::move(form));
  return absl::OkStatus();
}

absl::Status read_response_format(const Json& format, std::vector<FormQuery>& forms) {
  const std::string param = "response_format";
  if (!format.is_object() || !format.contains("type") || !format["type"].is_string()) {
    return bad_field(param, "expected an object with a type");
  }
  const std::string type = format["type"];
  if (type == "text") return absl::OkStatus();
  if (type == "json_object") {
    forms.push_back(object_form(param));
    return absl::OkStatus();
  }
  if (type != "json_schema") {
    return unsupported_field(param, fmt::format("is supported with the types text, json_object and "
                                                "json_schema, not \"{}\"",
                                                type.substr(0, 40)));
  }
  const auto holder = format.find("json_schema");
  if (holder == format.end() || !holder->is_object() || !holder->contains("schema")) {
    return bad_field(param, "json_schema must be an object with a name and a schema");
  }
  return add(forms, schema_form("response_format.json_schema.schema", (*holder)["schema"]));
}

absl::Status read_named(const std::string& param, std::string_view kind, const Json& value,
                        std::vector<FormQuery>& forms) {
  if (kind == "json") return add(forms, schema_form(param, value));
  if (kind == "regex") return add(forms, regex_form(param, value));
  if (kind == "choice") return add(forms, choice_form(param, value));
  if (kind != "json_object") {
    return unsupported_field(param,
                             "is not supported by this server: use json, regex, choice or "
                             "json_object");
  }
  if (value == true) forms.push_back(object_form(param));
  return absl::OkStatus();
}

}  // namespace

bool is_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         (value.is_structured() && value.empty()) ||
         (value.is_string() && value.get_ref<const std::string&>().empty());
}

absl::StatusOr<std::optional<FormQuery>> read_form(const ApiFields& fields) {
  std::vector<FormQuery> forms;
  if (const Json* format = fields.find("response_format")) {
    if (auto status = read_response_format(*format, forms); !status.ok()) return status;
  }
  if (const Json* outputs = fields.find("structured_outputs")) {
    if (!outputs->is_object()) return bad_field("structured_outputs", "expected an object");
    for (const char* kind : {"json", "regex", "choice", "json_object", "grammar", "structural_tag",
                             "whitespace_pattern"}) {
      const auto found = outputs->find(kind);
      if (found == outputs->end() || (is_nothing(*found) && !found->is_structured())) continue;
      if (auto status = read_named(fmt::format("structured_outputs.{}", kind), kind, *found, forms);
          !status.ok()) {
        return status;
      }
    }
  }
  for (const char* kind : {"json", "regex", "choice", "json_object", "grammar"}) {
    const std::string param = fmt::format("guided_{}", kind);
    const Json* found = fields.find(param.c_str());
    if (found == nullptr || (is_nothing(*found) && !found->is_structured())) continue;
    if (auto status = read_named(param, kind, *found, forms); !status.ok()) return status;
  }
  if (forms.empty()) return std::optional<FormQuery>();
  if (forms.size() > 1) {
    return bad_field(forms[1].param,
                     fmt::format("{} asks for a form already: ask for one", forms[0].param));
  }
  return std::optional<FormQuery>(std::move(forms.front()));
}

}  // namespace shoal::client
