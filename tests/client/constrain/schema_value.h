// SPDX-License-Identifier: Apache-2.0
// Whether a value satisfies a schema, told plainly: for what constraints make.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace shoal::tests {

using nlohmann::json;

inline std::size_t characters_of(const std::string& text) {
  std::size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

// Without "pattern" and "format", which the fixtures of patterns are about.
inline bool satisfies(const json& value, const json& schema, const json& root) {
  if (schema.is_boolean()) return schema.get<bool>();
  const auto is = [&](const std::string& type) {
    if (type == "integer") {
      return value.is_number() && value.get<double>() == std::floor(value.get<double>());
    }
    return type == (value.is_number() ? "number" : value.type_name());
  };
  for (const auto& [key, of] : schema.items()) {
    bool good = true;
    if (key == "$ref") {
      const std::string name = of;
      good = satisfies(value, root.at(json::json_pointer(name.substr(1))), root);
    } else if (key == "type") {
      good = false;
      for (const json& type : of.is_array() ? of : json::array({of})) good = good || is(type);
    } else if (key == "enum") {
      good = std::ranges::find(of, value) != of.end();
    } else if (key == "const") {
      good = of == value;
    } else if (key == "anyOf" || key == "oneOf" || key == "allOf") {
      std::size_t count = 0;
      for (const json& part : of) count += satisfies(value, part, root);
      good = key == "allOf" ? count == of.size() : count > 0;
    } else if (value.is_number()) {
      const double number = value;
      if (key == "minimum") good = number >= of;
      if (key == "maximum") good = number <= of;
      if (key == "exclusiveMinimum") good = number > of;
      if (key == "exclusiveMaximum") good = number < of;
    } else if (value.is_string()) {
      if (key == "minLength") good = characters_of(value) >= of;
      if (key == "maxLength") good = characters_of(value) <= of;
    } else if (value.is_array()) {
      if (key == "minItems") good = value.size() >= of;
      if (key == "maxItems") good = value.size() <= of;
      const std::size_t first = schema.value("prefixItems", json::array()).size();
      for (std::size_t i = 0; i < value.size() && good; ++i) {
        if (key == "prefixItems" && i < first) good = satisfies(value[i], of[i], root);
        if (key == "items" && i >= first) good = satisfies(value[i], of, root);
      }
    } else if (value.is_object()) {
      if (key == "required") {
        for (const json& name : of) good = good && value.contains(name.get<std::string>());
      }
      for (const auto& [name, member] : value.items()) {
        const json known = schema.value("properties", json::object());
        if (key == "properties" && of.contains(name)) {
          good = good && satisfies(member, of[name], root);
        }
        if (key == "additionalProperties" && !known.contains(name)) {
          good = good && satisfies(member, of, root);
        }
      }
    }
    if (!good) return false;
  }
  return true;
}

}  // namespace shoal::tests
