// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/schema_keywords.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "client/constrain/limits.h"

namespace shoal::client::constrain {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 17> kAnnotations = {
    "title",       "description", "default",       "examples",         "example",        "$schema",
    "$id",         "$comment",    "deprecated",    "readOnly",         "writeOnly",      "$defs",
    "definitions", "$anchor",     "discriminator", "contentMediaType", "contentEncoding"};
constexpr std::array<std::string_view, 26> kAssertions = {"type",
                                                          "properties",
                                                          "required",
                                                          "additionalProperties",
                                                          "items",
                                                          "minItems",
                                                          "maxItems",
                                                          "prefixItems",
                                                          "enum",
                                                          "const",
                                                          "pattern",
                                                          "minLength",
                                                          "maxLength",
                                                          "format",
                                                          "minimum",
                                                          "maximum",
                                                          "exclusiveMinimum",
                                                          "exclusiveMaximum",
                                                          "anyOf",
                                                          "oneOf",
                                                          "allOf",
                                                          "$ref",
                                                          "nullable",
                                                          "uniqueItems",
                                                          "minProperties",
                                                          "multipleOf"};

bool is_one_of(std::string_view keyword, const auto& list) {
  return std::ranges::find(list, keyword) != list.end();
}

std::string unescaped(std::string token) {
  for (const auto& [from, to] : {std::pair{"~1", "/"}, {"~0", "~"}}) {
    for (std::size_t at = 0; (at = token.find(from, at)) != std::string::npos; ++at) {
      token.replace(at, 2, to);
    }
  }
  return token;
}

Json type_list(const Json& type) { return type.is_array() ? type : Json::array({type}); }

bool contains(const Json& list, const Json& value) {
  return std::ranges::find(list, value) != list.end();
}

// Integers are numbers too.
Json common_types(const Json& a, const Json& b) {
  Json common = Json::array();
  for (const Json& type : type_list(a)) {
    const bool other_number = type == "integer" && contains(type_list(b), "number");
    if (contains(type_list(b), type) || other_number) {
      common.push_back(type);
    } else if (type == "number" && contains(type_list(b), "integer")) {
      common.push_back("integer");
    }
  }
  return common;
}

// What a copy costs, in steps of the builder, which are far shorter.
constexpr std::int64_t kStepsPerValue = 30;

std::int64_t weight(const Json& value);
std::int64_t steps_of(const Json& value) { return kStepsPerValue * weight(value); }

std::int64_t weight(const Json& value) {
  std::int64_t sum = 1;
  if (value.is_string()) sum += std::ssize(value.get_ref<const std::string&>()) / 16;
  if (value.is_structured()) {
    for (const Json& part : value) sum += weight(part);
  }
  return sum;
}

// Members that one names and the other does not, though it says what others must be.
bool closes_out(const Json& closed, const Json& other) {
  const auto more = closed.find("additionalProperties");
  if (more == closed.end() || *more == true || (more->is_object() && more->empty())) return false;
  const Json own = closed.value("properties", Json::object());
  const Json theirs = other.value("properties", Json::object());
  for (const auto& member : theirs.items()) {
    if (!own.contains(member.key())) return true;
  }
  return false;
}

}  // namespace

bool is_annotation(std::string_view keyword) {
  return is_one_of(keyword, kAnnotations) || keyword.starts_with("x-");
}

absl::Status schema_error(const std::string& place, const std::string& what) {
  return absl::InvalidArgumentError(fmt::format("at {}: {}", place, what));
}

absl::Status check_keywords(const Json& schema, const std::string& place) {
  for (const auto& member : schema.items()) {
    if (!is_annotation(member.key()) && !is_one_of(member.key(), kAssertions)) {
      return schema_error(place, fmt::format("the keyword \"{}\" is not supported: leave it out",
                                             member.key().substr(0, 60)));
    }
  }
  return absl::OkStatus();
}

bool stands_alone(const Json& schema, std::string_view keyword) {
  for (const auto& member : schema.items()) {
    if (member.key() != keyword && !is_annotation(member.key())) return false;
  }
  return true;
}

absl::StatusOr<const Json*> SchemaParts::find(const std::string& reference,
                                              const std::string& place) const {
  const auto wrong = [&](const char* why) {
    return schema_error(place, fmt::format("$ref \"{}\" {}", reference.substr(0, 100), why));
  };
  if (!reference.starts_with('#')) return wrong("is not in the schema itself (#/$defs/NAME)");
  const Json* at = &root_;
  std::size_t begin = 1;
  while (begin < reference.size()) {
    if (reference[begin] != '/') return wrong("is no pointer (#/$defs/NAME)");
    const std::size_t end = std::min(reference.find('/', begin + 1), reference.size());
    const std::string name = unescaped(reference.substr(begin + 1, end - begin - 1));
    begin = end;
    if (at->is_object() && at->contains(name)) {
      at = &(*at)[name];
      continue;
    }
    std::size_t index = 0;
    const bool is_index = at->is_array() && !name.empty() && name.size() < 7 &&
                          std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
    if (is_index) index = std::stoul(name);
    if (!is_index || index >= at->size()) return wrong("leads nowhere");
    at = &(*at)[index];
  }
  return at;
}

// Without $ref and allOf.
absl::StatusOr<Json> SchemaParts::flat(const Json& schema, const std::string& place, int depth) {
  if (depth > kMaxNesting) return schema_error(place, "allOf and $ref nest too deep");
  if (!schema.is_object()) return schema;
  if (auto status = check_keywords(schema, place); !status.ok()) return status;
  Json result = Json::object();
  for (const auto& member : schema.items()) {
    if (is_annotation(member.key()) || member.key() == "$ref" || member.key() == "allOf") continue;
    if (!builder_.spend(steps_of(member.value()))) return builder_.status();
    result[member.key()] = member.value();
  }
  const auto add = [&](const Json& part) -> absl::Status {
    auto more = both(result, part, place, depth + 1);
    if (!more.ok()) return more.status();
    result = *std::move(more);
    return absl::OkStatus();
  };
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    if (!reference->is_string()) return schema_error(place, "$ref must be a text");
    const auto found = find(reference->get<std::string>(), place);
    if (!found.ok()) return found.status();
    if (auto status = add(**found); !status.ok()) return status;
  }
  if (const auto all = schema.find("allOf"); all != schema.end()) {
    if (!all->is_array() || all->empty()) return schema_error(place, "allOf must be a list");
    for (const Json& part : *all) {
      if (auto status = add(part); !status.ok()) return status;
    }
  }
  return result;
}

absl::StatusOr<Json> SchemaParts::both(const Json& first, const Json& second,
                                       const std::string& place, int depth) {
  auto a = flat(first, place, depth);
  if (!a.ok()) return a;
  auto b = flat(second, place, depth);
  if (!b.ok()) return b;
  for (const Json* one : {&*a, &*b}) {
    if (!one->is_object() && !one->is_boolean()) {
      return schema_error(place, "a schema must be an object, true or false");
    }
  }
  if (*a == false || *b == false) return Json(false);
  if (*a == true) return b;
  if (*b == true) return a;
  if (closes_out(*a, *b) || closes_out(*b, *a)) {
    return schema_error(place,
                        "allOf, $ref and anyOf with additionalProperties in one part and other "
                        "properties in another are not supported");
  }
  for (const auto& member : b->items()) {
    if (is_annotation(member.key())) continue;
    if (!builder_.spend(steps_of(member.value()))) return builder_.status();
    if (auto status = add_keyword(*a, member.key(), member.value(), place); !status.ok()) {
      return status;
    }
    if (*a == false) break;
  }
  return a;
}

absl::Status SchemaParts::add_keyword(Json& to, const std::string& keyword, const Json& value,
                                      const std::string& place) {
  if (!to.contains(keyword)) {
    to[keyword] = value;
    return absl::OkStatus();
  }
  Json& known = to[keyword];
  if (known == value) return absl::OkStatus();
  const bool low = keyword == "minimum" || keyword == "exclusiveMinimum" ||
                   keyword == "minLength" || keyword == "minItems";
  const bool high = keyword == "maximum" || keyword == "exclusiveMaximum" ||
                    keyword == "maxLength" || keyword == "maxItems";
  if ((low || high) && known.is_number() && value.is_number()) {
    if (low ? value > known : value < known) known = value;
  } else if (keyword == "type") {
    known = common_types(known, value);
  } else if (keyword == "properties" && known.is_object() && value.is_object()) {
    for (const auto& member : value.items()) {
      if (known.contains(member.key())) {
        known[member.key()] = {{"allOf", Json::array({known[member.key()], member.value()})}};
      } else {
        known[member.key()] = member.value();
      }
    }
  } else if (keyword == "required" && known.is_array() && value.is_array()) {
    for (const Json& name : value) {
      if (!contains(known, name)) known.push_back(name);
    }
  } else if (keyword == "items") {
    known = Json{{"allOf", Json::array({known, value})}};
  } else if (keyword == "enum" && known.is_array() && value.is_array()) {
    Json common = Json::array();
    for (const Json& one : known) {
      if (contains(value, one)) common.push_back(one);
    }
    known = std::move(common);
  } else if (keyword == "const") {
    to = false;
  } else if (keyword == "additionalProperties" && (known == true || value == true)) {
    if (known == true) known = value;
  } else if (keyword == "nullable") {
    known = false;
  } else {
    return schema_error(place, fmt::format("\"{}\" in several parts of allOf, $ref or anyOf is "
                                           "not supported where they differ",
                                           keyword));
  }
  return absl::OkStatus();
}

}  // namespace shoal::client::constrain
