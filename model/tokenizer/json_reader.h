// SPDX-License-Identifier: Apache-2.0
// Reads one JSON object whose every key must be known. The first error sticks in *status and names
// the place; after it the getters return their fallbacks, so parsing code needs one check at its
// end.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace shoal::model {

using Json = nlohmann::json;

class ObjectReader {
 public:
  ObjectReader(const Json& value, std::string place, absl::Status* status);

  bool ok() const { return status_->ok(); }
  absl::Status* status() const { return status_; }
  const std::string& place() const { return place_; }
  void refuse(std::string_view what);  // an error at this place

  bool has(const char* key);         // present and not null
  const Json* get(const char* key);  // null when absent or null
  bool flag(const char* key, std::optional<bool> fallback = std::nullopt);
  std::string text(const char* key, const std::optional<std::string>& fallback = std::nullopt);
  std::int64_t number(const char* key, std::int64_t low, std::int64_t high);
  char32_t character(const char* key);                  // a string of exactly one code point
  const Json& list(const char* key);                    // an empty array after an error
  void ignore(const char* key) { known_.insert(key); }  // does not change ids or text
  std::string at(std::string_view key) const;
  void done();  // refuses keys that nobody asked for

 private:
  const Json* find(const char* key);

  const Json* object_;
  std::string place_;
  absl::Status* status_;
  std::set<std::string> known_;
};

// The parts of a Sequence, which lie in the list `key`, each with its place; `depth` counts the
// Sequences around this one, of which there may be seven.
void for_each_part(ObjectReader& reader, const char* key, int depth,
                   const std::function<void(const Json& part, const std::string& at)>& add);

// {"String": "x"} or {"Regex": "x"}, as Split and Replace write their patterns.
struct PatternText {
  std::string text;
  bool is_regex = false;
};
PatternText read_pattern(ObjectReader& reader, const char* key);

}  // namespace shoal::model
