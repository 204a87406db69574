// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "client/constrain/key_trie.h"
#include "client/constrain/limits.h"
#include "client/constrain/number_range.h"
#include "client/constrain/regex.h"
#include "client/constrain/schema_keywords.h"
#include "client/constrain/string_formats.h"

namespace shoal::client::constrain {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type != "integer") return false;
  return value.is_number_integer() ||
         (value.is_number_float() && value.get<double>() == std::floor(value.get<double>()));
}

class Compiler {
 public:
  Compiler(GrammarBuilder& builder, JsonGrammar& json, const Json& root)
      : builder_(builder), json_(json), parts_(root, builder) {}

  NodeId run(NodeId from, const Json& root) {
    const NodeId to = value(from, root, {"the schema", 0, nullptr});
    while (!open_.empty() && builder_.status().ok()) {
      const auto [schema, name] = open_.front();
      open_.pop_front();
      const Rule rule = references_.at(schema);
      builder_.empty(value(rule.entry, *schema, {name, 0, schema}), rule.end);
    }
    if (builder_.status().ok()) check_circles();
    return to;
  }

 private:
  struct At {
    std::string place;
    int depth = 0;
    // The schema of a reference whose values begin here, if this is where they begin.
    const Json* head = nullptr;
    At part(const std::string& name) const { return {place + "/" + name, depth + 1, head}; }
    At inner(const std::string& name) const { return {place + "/" + name, depth + 1, nullptr}; }
  };

  void fail(const At& at, const std::string& what) { builder_.fail(schema_error(at.place, what)); }
  const Json& keep(Json json) { return kept_.emplace_back(std::move(json)); }

  NodeId value(NodeId from, const Json& schema, const At& at) {
    if (!builder_.spend(1)) return from;
    if (schema == true || (schema.is_object() && schema.empty())) return json_.value(from);
    if (schema == false) return builder_.node();  // nothing leads there
    if (!schema.is_object()) {
      fail(at, "a schema must be an object, true or false");
      return from;
    }
    if (at.depth > kMaxNesting) {
      fail(at, fmt::format("schemas nest deeper than {} levels", kMaxNesting));
      return from;
    }
    if (auto status = check_keywords(schema, at.place); !status.ok()) {
      builder_.fail(std::move(status));
      return from;
    }
    if (schema.contains("$ref") && stands_alone(schema, "$ref")) return reference(from, schema, at);
    if (schema.contains("allOf") && schema["allOf"].is_array() && schema["allOf"].size() == 1 &&
        stands_alone(schema, "allOf")) {
      return value(from, schema["allOf"][0], at.part("allOf/0"));
    }
    if (schema.contains("$ref") || schema.contains("allOf")) {
      auto merged = parts_.both(schema, Json(true), at.place);
      if (!merged.ok()) {
        builder_.fail(merged.status());
        return from;
      }
      return value(from, keep(*std::move(merged)), {at.place, at.depth + 1, at.head});
    }
    if (schema.contains("anyOf") || schema.contains("oneOf")) return either(from, schema, at);
    if (schema.contains("const") || schema.contains("enum")) return listed(from, schema, at);
    return typed(from, schema, at);
  }

  NodeId reference(NodeId from, const Json& schema, const At& at) {
    if (!schema["$ref"].is_string()) {
      fail(at, "$ref must be a text");
      return from;
    }
    const std::string name = schema["$ref"];
    const auto found = parts_.find(name, at.place);
    if (!found.ok()) {
      builder_.fail(found.status());
      return from;
    }
    const auto [known, is_new] = references_.try_emplace(*found);
    if (is_new) {
      known->second = builder_.rule();
      open_.emplace_back(*found, name);
    }
    if (at.head != nullptr) begins_with_[at.head].insert(*found);
    const NodeId back = builder_.node();
    builder_.call(from, known->second, back);
    return back;
  }

  // A reference that leads to itself before a single byte is read has no meaning.
  void check_circles() {
    std::map<const Json*, int> state;  // 1: on the way, 2: done
    for (const auto& entry : begins_with_) {
      std::vector<std::pair<const Json*, bool>> work = {{entry.first, false}};
      while (!work.empty()) {
        const auto [at, leave] = work.back();
        work.pop_back();
        if (leave) {
          state[at] = 2;
          continue;
        }
        if (state[at] == 2) continue;
        state[at] = 1;
        work.emplace_back(at, true);
        const auto next = begins_with_.find(at);
        if (next == begins_with_.end()) continue;
        for (const Json* to : next->second) {
          if (state[to] == 1) {
            return builder_.fail(
                absl::InvalidArgumentError("a $ref leads back to itself and says nothing"));
          }
          if (state[to] == 0) work.emplace_back(to, false);
        }
      }
    }
  }

  NodeId either(NodeId from, const Json& schema, const At& at) {
    const std::string keyword = schema.contains("anyOf") ? "anyOf" : "oneOf";
    const Json& branches = schema[keyword];
    if (!branches.is_array() || branches.empty() ||
        (keyword == "anyOf" && schema.contains("oneOf"))) {
      fail(at, "anyOf or oneOf, one of them, must be a list of schemas");
      return from;
    }
    const bool alone = stands_alone(schema, keyword);
    Json rest = Json::object();
    if (!alone) {
      rest = schema;
      rest.erase(keyword);
    }
    const NodeId to = builder_.node();
    for (std::size_t i = 0; i < branches.size() && builder_.status().ok(); ++i) {
      const At part = at.part(fmt::format("{}/{}", keyword, i));
      if (alone) {
        builder_.empty(value(from, branches[i], part), to);
        continue;
      }
      auto merged = parts_.both(rest, branches[i], part.place);
      if (!merged.ok()) {
        builder_.fail(merged.status());
        break;
      }
      builder_.empty(value(from, keep(*std::move(merged)), part), to);
    }
    return to;
  }

  NodeId listed(NodeId from, const Json& schema, const At& at) {
    for (const auto& member : schema.items()) {
      const std::string& key = member.key();
      if (key != "const" && key != "enum" && key != "type" && key != "nullable" &&
          !is_annotation(key)) {
        fail(at, fmt::format("\"{}\" beside enum or const is not supported: leave it out", key));
        return from;
      }
    }
    Json values = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
    if (!values.is_array()) {
      fail(at, "enum must be a list");
      return from;
    }
    const Json all = schema.value("enum", values);
    const std::vector<std::string> types = types_of(schema, at);
    const NodeId to = builder_.node();
    const bool nullable = schema.value("nullable", Json()) == true;
    for (const Json& one : values) {
      if (std::ranges::find(all, one) == all.end()) continue;
      const bool fits = types.empty() || (nullable && one.is_null()) ||
                        std::ranges::any_of(types, [&](const auto& t) { return has_type(one, t); });
      if (fits) builder_.empty(builder_.text(from, dump(one)), to);
    }
    return to;
  }

  // Empty: none is named.
  std::vector<std::string> types_of(const Json& schema, const At& at) {
    std::vector<std::string> types;
    const auto found = schema.find("type");
    if (found == schema.end()) return types;
    static const std::set<std::string> known = {"null",    "boolean", "string", "number",
                                                "integer", "array",   "object"};
    for (const Json& type : found->is_array() ? *found : Json::array({*found})) {
      if (!type.is_string() || !known.contains(type.get<std::string>())) {
        fail(at, fmt::format("the type {} is not known", dump(type).substr(0, 60)));
        return types;
      }
      types.push_back(type);
    }
    if (types.empty()) fail(at, "type is an empty list");
    return types;
  }

  NodeId typed(NodeId from, const Json& schema, const At& at) {
    std::vector<std::string> types = types_of(schema, at);
    if (types.empty()) types = implied_types(schema);
    if (types.empty()) return json_.value(from);
    const auto has = [&](const char* type) {
      return std::ranges::find(types, type) != types.end();
    };
    if (schema.value("nullable", Json()) == true && !has("null")) types.push_back("null");
    if (has("number")) std::erase(types, "integer");
    const NodeId to = builder_.node();
    for (const std::string& type : types) builder_.empty(of_type(from, type, schema, at), to);
    return to;
  }

  // Of what speaks of one type only; values of others would do as well.
  static std::vector<std::string> implied_types(const Json& schema) {
    const std::vector<std::pair<std::string, std::vector<const char*>>> hints = {
        {"object", {"properties", "required", "additionalProperties", "minProperties"}},
        {"array", {"items", "minItems", "maxItems", "prefixItems", "uniqueItems"}},
        {"string", {"pattern", "minLength", "maxLength", "format"}},
        {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}}};
    std::vector<std::string> types;
    for (const auto& [type, keywords] : hints) {
      const bool some = std::ranges::any_of(
          keywords, [&](const char* keyword) { return schema.contains(keyword); });
      if (some) types.push_back(type);
    }
    return types;
  }

  NodeId of_type(NodeId from, const std::string& type, const Json& schema, const At& at) {
    if (!builder_.status().ok()) return from;
    if (type == "null") return builder_.text(from, "null");
    if (type == "boolean") return json_.boolean(from);
    if (type == "string") return string(from, schema, at);
    if (type == "array") return array(from, schema, at);
    if (type == "object") return object(from, schema, at);
    return number(from, type == "integer", schema, at);
  }

  std::int64_t count(const Json& schema, const char* keyword, std::int64_t fallback, const At& at) {
    const auto found = schema.find(keyword);
    if (found == schema.end()) return fallback;
    const double number = found->is_number() ? found->get<double>() : -1;
    if (number < 0 || number != std::floor(number)) {
      fail(at, fmt::format("{} must be a whole number from 0 upward", keyword));
      return fallback;
    }
    return static_cast<std::int64_t>(std::min(number, 1e15));
  }

  NodeId string(NodeId from, const Json& schema, const At& at) {
    const std::int64_t least = count(schema, "minLength", 0, at);
    const std::int64_t most = count(schema, "maxLength", -1, at);
    if (!schema.contains("pattern") && !schema.contains("format")) {
      if (least == 0 && most < 0) return json_.string(from);
      return most >= 0 && most < least ? builder_.node()
                                       : json_.string_of_length(from, least, most);
    }
    if (least > 0 || most >= 0 || (schema.contains("pattern") && schema.contains("format"))) {
      fail(at,
           "of pattern, format, and minLength with maxLength only one can be held at a time: "
           "leave out the others, or say the length in the pattern");
      return from;
    }
    Regex regex;
    if (schema.contains("format")) {
      const std::string name = schema["format"].is_string() ? schema["format"] : Json("");
      const std::string pattern = format_pattern(name);
      if (pattern.empty()) {
        fail(at, fmt::format("the format \"{}\" is not supported, only {}", name.substr(0, 60),
                             known_formats()));
        return from;
      }
      regex = whole_match(*parse_regex(pattern));
    } else {
      const std::string pattern = schema["pattern"].is_string() ? schema["pattern"] : Json("(");
      auto parsed = parse_regex(pattern);
      if (!parsed.ok()) {
        fail(at, "pattern: " + std::string(parsed.status().message()));
        return from;
      }
      regex = found_within(*std::move(parsed));
    }
    const NodeId inside = builder_.text(from, "\"");
    return builder_.text(add_regex(builder_, inside, regex, write_json_character), "\"");
  }

  NodeId number(NodeId from, bool whole, const Json& schema, const At& at) {
    if (const auto step = schema.find("multipleOf");
        step != schema.end() && !(whole && (*step == 1 || *step == 1.0))) {
      fail(at, "the keyword \"multipleOf\" is not supported: leave it out");
      return from;
    }
    std::optional<Decimal> low, high;
    std::int64_t first = -kMostWhole, last = kMostWhole;
    for (const auto& [keyword, is_low, exclusive] : {std::tuple{"minimum", true, false},
                                                     {"exclusiveMinimum", true, true},
                                                     {"maximum", false, false},
                                                     {"exclusiveMaximum", false, true}}) {
      const auto found = schema.find(keyword);
      if (found == schema.end()) continue;
      const auto bound = found->is_number() ? decimal_of(found->get<double>(), exclusive)
                                            : std::optional<Decimal>();
      if (!bound && !(whole && found->is_number())) {
        fail(at, fmt::format("{} must be a number of at most 15 digits before and behind the point",
                             keyword));
        return from;
      }
      bound_whole(*found, is_low, exclusive, first, last);
      std::optional<Decimal>& end = is_low ? low : high;
      if (end && bound) {
        fail(at, fmt::format("{} and its exclusive one at a time are not supported",
                             is_low ? "minimum" : "maximum"));
        return from;
      }
      if (bound) end = bound;
    }
    if (whole) {
      return first > last ? builder_.node() : add_whole_numbers(builder_, from, first, last);
    }
    if (!low && !high) return json_.number(from);
    return ordered(low, high) ? add_numbers(builder_, from, low, high) : builder_.node();
  }

  static void bound_whole(const Json& bound, bool is_low, bool exclusive, std::int64_t& first,
                          std::int64_t& last) {
    const double limit = static_cast<double>(kMostWhole);
    std::int64_t end = 0;
    bool is_whole = true;
    if (bound.is_number_integer() && std::abs(bound.get<double>()) < limit) {
      end = bound.get<std::int64_t>();
    } else {
      const double number = std::clamp(bound.get<double>(), -limit, limit);
      is_whole = number == std::floor(number);
      end = static_cast<std::int64_t>(is_low ? std::ceil(number) : std::floor(number));
    }
    if (exclusive && is_whole) end += is_low ? 1 : -1;
    if (is_low) {
      first = std::max(first, end);
    } else {
      last = std::min(last, end);
    }
  }

  static bool ordered(const std::optional<Decimal>& low, const std::optional<Decimal>& high) {
    if (!low || !high) return true;
    if (low->negative != high->negative) return low->negative;
    const auto size = [](const Decimal& d) { return std::pair{d.whole, d.fraction}; };
    const auto a = size(low->negative ? *high : *low), b = size(low->negative ? *low : *high);
    return a < b || (a == b && !low->exclusive && !high->exclusive);
  }

  NodeId array(NodeId from, const Json& schema, const At& at) {
    if (schema.value("uniqueItems", Json(false)) != false) {
      fail(at, "\"uniqueItems\" is not supported: leave it out");
      return from;
    }
    const std::int64_t least = count(schema, "minItems", 0, at);
    const std::int64_t most = count(schema, "maxItems", -1, at);
    const Json first = schema.value("prefixItems", Json::array());
    if (!first.is_array() || (schema.contains("items") && schema["items"].is_array())) {
      fail(at, "items must be one schema; a list of them is prefixItems");
      return from;
    }
    const Json& items = keep(schema.value("items", Json(true)));
    // One rule for all items: a repeat costs a call each.
    std::optional<Rule> shared;
    const auto item = [&](NodeId begin, std::size_t index) {
      if (index < first.size()) {
        return value(begin, keep(first[index]), at.inner(fmt::format("prefixItems/{}", index)));
      }
      if (!shared) {
        shared = builder_.rule();
        builder_.empty(value(shared->entry, items, at.inner("items")), shared->end);
      }
      const NodeId back = builder_.node();
      builder_.call(begin, *shared, back);
      return back;
    };
    const NodeId open = builder_.text(from, "["), to = builder_.node();
    const NodeId close = builder_.node();
    builder_.byte(close, ']', ']', to);
    if (least == 0) builder_.empty(open, close);
    const auto so_far = static_cast<std::size_t>(std::max<std::int64_t>(least, std::ssize(first)));
    NodeId last = open;
    const NodeId before_close = builder_.node();
    builder_.empty(json_.space(before_close), close);
    for (std::size_t i = 0; builder_.status().ok(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      if (most >= 0 && index >= most) break;
      if (most < 0 && i > so_far) {  // from here on all are alike
        builder_.empty(item(json_.comma(last), i), last);
        break;
      }
      last = item(i == 0 ? json_.space(last) : json_.comma(last), i);
      if (index + 1 >= least) builder_.empty(last, before_close);
    }
    return to;
  }

  NodeId object(NodeId from, const Json& schema, const At& at) {
    const Json properties = schema.value("properties", Json::object());
    const Json required = schema.value("required", Json::array());
    const auto more = schema.find("additionalProperties");
    if (!properties.is_object() || !required.is_array()) {
      fail(at, "properties must be an object, required a list of names");
      return from;
    }
    const bool any = properties.empty() && required.empty();
    if (any && (more == schema.end() || *more == true)) return any_object(from, schema, at);
    std::set<std::string> needed;
    Json members = properties;
    for (const Json& name : required) {
      if (!name.is_string()) {
        fail(at, "required must be a list of names");
        return from;
      }
      needed.insert(name);
      if (members.contains(name.get<std::string>())) continue;
      members[name.get<std::string>()] = more == schema.end() ? Json(true) : *more;
    }
    if (count(schema, "minProperties", 0, at) > std::ssize(needed)) {
      fail(at, "\"minProperties\" above the number of required ones is not supported");
      return from;
    }
    const Json& kept = keep(std::move(members));
    NodeId none = builder_.text(from, "{"), some = builder_.node();  // written so far
    const NodeId to = builder_.node();
    const NodeId first = json_.space(none);  // behind the brace, before a first member
    NodeId before_first = first;
    bool may_be_empty = true;
    for (const auto& member : kept.items()) {
      if (!builder_.status().ok()) return from;
      const NodeId key = builder_.node();
      if (may_be_empty) builder_.empty(before_first, key);
      builder_.empty(json_.comma(some), key);
      const NodeId named = json_.colon(builder_.text(key, dump(member.key())));
      const NodeId behind =
          value(named, member.value(), at.inner("properties/" + member.key().substr(0, 60)));
      const NodeId next = builder_.node();
      builder_.empty(behind, next);
      if (needed.contains(member.key())) {
        may_be_empty = false;
      } else {
        builder_.empty(some, next);
      }
      some = next;
    }
    if (more != schema.end() && *more != false) {
      const NodeId key = builder_.node();
      if (may_be_empty) builder_.empty(before_first, key);
      std::vector<std::string> names;
      for (const auto& member : kept.items()) names.push_back(member.key());
      const NodeId named = json_.colon(add_other_key(builder_, key, names));
      const NodeId behind = value(named, *more, at.inner("additionalProperties"));
      const NodeId next = builder_.node();
      builder_.empty(some, next);
      builder_.empty(behind, next);
      builder_.empty(json_.comma(next), key);
      some = next;
    }
    if (may_be_empty) builder_.byte(none, '}', '}', to);
    const NodeId end = json_.space(some);
    builder_.byte(end, '}', '}', to);
    return to;
  }

  NodeId any_object(NodeId from, const Json& schema, const At& at) {
    if (count(schema, "minProperties", 0, at) > 0) {
      fail(at, "\"minProperties\" above the number of required ones is not supported");
    }
    return json_.object(from);
  }

  GrammarBuilder& builder_;
  JsonGrammar& json_;
  SchemaParts parts_;
  std::deque<Json> kept_;
  std::map<const Json*, Rule> references_;
  std::deque<std::pair<const Json*, std::string>> open_;  // whose rules have no body yet
  std::map<const Json*, std::set<const Json*>> begins_with_;
};

}  // namespace

NodeId add_schema(GrammarBuilder& builder, JsonGrammar& json, NodeId from, const Json& schema) {
  const std::string text = dump(schema);
  if (text.size() > kMaxSchemaBytes) {
    builder.fail(
        absl::InvalidArgumentError(fmt::format("the schema has {} KiB, and at most {} are taken",
                                               text.size() >> 10, kMaxSchemaBytes >> 10)));
    return from;
  }
  return Compiler(builder, json, schema).run(from, schema);
}

}  // namespace shoal::client::constrain
