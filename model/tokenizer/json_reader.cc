// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/json_reader.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr int kMaxDepth = 8;  // of Sequences; published files have one

const Json& empty_object() {
  static const Json empty = Json::object();
  return empty;
}

const Json& empty_array() {
  static const Json empty = Json::array();
  return empty;
}

}  // namespace

ObjectReader::ObjectReader(const Json& value, std::string place, absl::Status* status)
    : object_(&value), place_(std::move(place)), status_(status) {
  if (!value.is_object()) {
    refuse("is not an object");
    object_ = &empty_object();
  }
}

void ObjectReader::refuse(std::string_view what) {
  if (!status_->ok()) return;
  *status_ = absl::InvalidArgumentError(
      absl::StrCat("tokenizer.json: ", place_, place_.empty() ? "" : " ", as_absl(what)));
}

std::string ObjectReader::at(std::string_view key) const {
  return place_.empty() ? std::string(key) : absl::StrCat(place_, ".", as_absl(key));
}

const Json* ObjectReader::find(const char* key) {
  known_.insert(key);
  const auto found = object_->find(key);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

bool ObjectReader::has(const char* key) { return find(key) != nullptr; }

const Json* ObjectReader::get(const char* key) { return find(key); }

bool ObjectReader::flag(const char* key, std::optional<bool> fallback) {
  const Json* value = find(key);
  if (value != nullptr && value->is_boolean()) return value->get<bool>();
  if (value != nullptr || !fallback) {
    refuse(absl::StrCat("needs \"", key, "\" to be true or false"));
  }
  return fallback.value_or(false);
}

std::string ObjectReader::text(const char* key, const std::optional<std::string>& fallback) {
  const Json* value = find(key);
  if (value != nullptr && value->is_string()) return value->get_ref<const std::string&>();
  if (value != nullptr || !fallback) refuse(absl::StrCat("needs a text \"", key, "\""));
  return fallback.value_or("");
}

std::int64_t ObjectReader::number(const char* key, std::int64_t low, std::int64_t high) {
  const Json* value = find(key);
  if (value != nullptr && value->is_number_unsigned()) {
    const auto number = value->get<std::uint64_t>();
    if (number >= static_cast<std::uint64_t>(low) && number <= static_cast<std::uint64_t>(high)) {
      return static_cast<std::int64_t>(number);
    }
  }
  refuse(absl::StrCat("needs \"", key, "\" to be a whole number from ", low, " to ", high));
  return low;
}

char32_t ObjectReader::character(const char* key) {
  const std::string value = text(key);
  std::size_t offset = 0;
  const char32_t code = value.empty() ? U' ' : next_code(value, &offset);
  if (offset == 0 || offset != value.size()) {
    refuse(absl::StrCat("needs \"", key, "\" to be one character"));
  }
  return code;
}

const Json& ObjectReader::list(const char* key) {
  const Json* value = find(key);
  if (value != nullptr && value->is_array()) return *value;
  refuse(absl::StrCat("needs a list \"", key, "\""));
  return empty_array();
}

void ObjectReader::done() {
  for (const auto& item : object_->items()) {
    if (!known_.contains(item.key())) {
      refuse(absl::StrCat("has ", in_quotes(item.key()), ", which this version does not know"));
    }
  }
}

void for_each_part(ObjectReader& reader, const char* key, int depth,
                   const std::function<void(const Json& part, const std::string& at)>& add) {
  if (depth >= kMaxDepth) return reader.refuse("is nested too deep");
  int index = 0;
  for (const Json& part : reader.list(key)) {
    add(part, absl::StrCat(reader.at(key), "[", index++, "]"));
  }
}

PatternText read_pattern(ObjectReader& reader, const char* key) {
  const Json* value = reader.get(key);
  if (value == nullptr) {
    reader.refuse(absl::StrCat("needs \"", key, "\""));
    return {};
  }
  ObjectReader pattern(*value, reader.at(key), reader.status());
  PatternText result;
  result.is_regex = pattern.has("Regex");
  result.text = pattern.text(result.is_regex ? "Regex" : "String");
  if (reader.ok() && result.text.empty()) pattern.refuse("is empty, which would match everywhere");
  pattern.done();
  return result;
}

}  // namespace shoal::model
