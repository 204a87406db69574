// SPDX-License-Identifier: Apache-2.0
#include "client/serve/api_fields.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "client/serve/api_error.h"
#include "model/json_fields.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxBodyDepth = 64;
constexpr std::size_t kMaxBodyValues = 1u << 20;

std::string shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 40 ? text : std::string(value.type_name());
}

}  // namespace

absl::StatusOr<Json> parse_body(const std::string& body) {
  if (!model::has_bounded_shape(body, kMaxBodyDepth, kMaxBodyValues)) {
    return absl::InvalidArgumentError(
        fmt::format("the body nests deeper than {} levels or has more than {} values",
                    kMaxBodyDepth, kMaxBodyValues));
  }
  try {
    Json json = Json::parse(body);
    if (json.is_object()) return json;
  } catch (const Json::exception& error) {
    return absl::InvalidArgumentError(fmt::format("the body is not JSON: {}", error.what()));
  }
  return absl::InvalidArgumentError("the body is not a JSON object");
}

std::optional<std::int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return std::nullopt;
    }
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (number != std::floor(number) || std::abs(number) > 9e15) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

absl::StatusOr<std::vector<std::int32_t>> id_list(const Json& list, const std::string& param,
                                                  std::size_t most) {
  if (!list.is_array()) return bad_field(param, "expected a list of token ids");
  if (list.size() > most) return bad_field(param, fmt::format("at most {} token ids", most));
  std::vector<std::int32_t> ids;
  ids.reserve(list.size());
  for (const Json& item : list) {
    const auto id = whole_number(item);
    if (!id || *id < 0 || *id > std::numeric_limits<std::int32_t>::max()) {
      return bad_field(param, fmt::format("{} is no token id", shown(item)));
    }
    ids.push_back(static_cast<std::int32_t>(*id));
  }
  return ids;
}

const Json* ApiFields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> ApiFields::integer(const char* key, std::int64_t low,
                                               std::int64_t high) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = whole_number(*value);
  if (number && *number >= low && *number <= high) return number;
  fail(bad_field(
      key, fmt::format("expected a whole number from {} to {}, got {}", low, high, shown(*value))));
  return std::nullopt;
}

std::optional<double> ApiFields::number(const char* key, double low, double high) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= low && number <= high) return number;
  }
  fail(bad_field(key,
                 fmt::format("expected a number from {} to {}, got {}", low, high, shown(*value))));
  return std::nullopt;
}

bool ApiFields::boolean(const char* key, bool fallback) {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  fail(bad_field(key, fmt::format("expected true or false, got {}", shown(*value))));
  return fallback;
}

std::optional<std::string> ApiFields::text(const char* key) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  fail(bad_field(key, fmt::format("expected a text, got {}", shown(*value))));
  return std::nullopt;
}

std::vector<std::string> ApiFields::texts(const char* key, std::size_t most) {
  const Json* value = find(key);
  if (value == nullptr) return {};
  if (value->is_string()) return {value->get<std::string>()};
  std::vector<std::string> list;
  if (value->is_array() && value->size() <= most) {
    for (const Json& item : *value) {
      if (item.is_string()) list.push_back(item.get<std::string>());
    }
    if (list.size() == value->size()) return list;
  }
  fail(bad_field(key, fmt::format("expected a text, or a list of at most {} texts", most)));
  return {};
}

std::optional<std::vector<std::int32_t>> ApiFields::ids(const char* key, std::size_t most) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  auto list = id_list(*value, key, most);
  if (list.ok()) return *std::move(list);
  fail(list.status());
  return std::nullopt;
}

}  // namespace shoal::client
