// SPDX-License-Identifier: Apache-2.0
// Typed, bounded reading of a request's JSON object: null counts as absent, the first thing that is
// wrong is kept as a status that names the field, and later reads return what is harmless. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::client {

// INVALID_ARGUMENT for what is no JSON object of bounded shape.
absl::StatusOr<nlohmann::ordered_json> parse_body(const std::string& body);

class ApiFields {
 public:
  // `object` must be an object and outlive this.
  explicit ApiFields(const nlohmann::ordered_json& object) : object_(object) {}

  const absl::Status& status() const { return status_; }
  void fail(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const nlohmann::ordered_json* find(const char* key) const;  // nullptr if absent or null

  std::optional<std::int64_t> integer(const char* key, std::int64_t low, std::int64_t high);
  std::optional<double> number(const char* key, double low, double high);
  bool boolean(const char* key, bool fallback);
  std::optional<std::string> text(const char* key);
  // One or a list of at most `most`.
  std::vector<std::string> texts(const char* key, std::size_t most);
  std::optional<std::vector<std::int32_t>> ids(const char* key, std::size_t most);

 private:
  const nlohmann::ordered_json& object_;
  absl::Status status_;
};

// A whole number, also written as 3.0.
std::optional<std::int64_t> whole_number(const nlohmann::ordered_json& value);
// A list of token ids, each at least 0; INVALID_ARGUMENT names `param`.
absl::StatusOr<std::vector<std::int32_t>> id_list(const nlohmann::ordered_json& list,
                                                  const std::string& param, std::size_t most);

}  // namespace shoal::client
