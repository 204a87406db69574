// SPDX-License-Identifier: Apache-2.0
// Typed, bounded reading of one JSON object. The first thing that is wrong is kept as the status
// and every later read returns a harmless value, so a caller reads all fields and asks once. Not
// for other rooms: model/ only. A JSON null counts as absent, as in Python's `get(...) or default`.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoal::model {

// Whole text of a regular file of at most `max_bytes`; errors name the path.
absl::StatusOr<std::string> read_text_file(const std::string& path, std::size_t max_bytes);
// True when the text nests at most max_depth deep and has at most max_values values: bounds what a
// parser would allocate. Malformed text is left to the parser.
bool has_bounded_shape(std::string_view json_text, int max_depth, std::size_t max_values);

class JsonFields {
 public:
  // `object` must be a JSON object and outlive this. `where` begins every error message.
  JsonFields(const nlohmann::json& object, std::string where);

  const std::string& where() const { return where_; }
  const absl::Status& status() const { return status_; }
  void fail(absl::Status status);  // keeps the first failure

  // True also for a null.
  bool contains(const char* key) const { return object_.contains(key); }
  // The value, or nullptr if absent or null.
  const nlohmann::json* find(const char* key) const;

  // Without a fallback the key is required. A number like 8192.0 is taken as an integer.
  std::int64_t integer(const char* key, std::int64_t low, std::int64_t high,
                       std::optional<std::int64_t> fallback = std::nullopt);
  double number(const char* key, double low, double high,
                std::optional<double> fallback = std::nullopt);
  std::optional<double> optional_number(const char* key, double low, double high);
  bool boolean(const char* key, bool fallback);
  std::string text(const char* key, const std::string& fallback);
  // One token id or a list of them, without the negative ones, which mean none; nullopt if absent
  // or null.
  std::optional<std::vector<std::int32_t>> token_ids(const char* key);

 private:
  std::optional<std::int64_t> as_integer(const nlohmann::json& value) const;
  void fail_type(const char* key, const char* expected, const nlohmann::json& value);

  const nlohmann::json& object_;
  std::string where_;
  absl::Status status_;
};

// The beginning of a value as JSON text, for error messages.
std::string json_excerpt(const nlohmann::json& value);

}  // namespace shoal::model
