// SPDX-License-Identifier: Apache-2.0
// What the keywords of JSON Schema are to us, and schemas put together: references, and the parts
// of allOf. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/constrain/grammar.h"

namespace shoal::client::constrain {

// "title" and the like: they assert nothing.
bool is_annotation(std::string_view keyword);
// OK if each keyword of the object is known; INVALID_ARGUMENT names the first that is not.
absl::Status check_keywords(const nlohmann::ordered_json& schema, const std::string& place);
// Nothing but annotations beside the one keyword.
bool stands_alone(const nlohmann::ordered_json& schema, std::string_view keyword);
absl::Status schema_error(const std::string& place, const std::string& what);

class SchemaParts {
 public:
  // Both must outlive it.
  SchemaParts(const nlohmann::ordered_json& root, GrammarBuilder& builder)
      : root_(root), builder_(builder) {}

  // "#", "#/$defs/name" and other pointers into the schema.
  absl::StatusOr<const nlohmann::ordered_json*> find(const std::string& reference,
                                                     const std::string& place) const;
  // A schema that asserts what both do.
  absl::StatusOr<nlohmann::ordered_json> both(const nlohmann::ordered_json& a,
                                              const nlohmann::ordered_json& b,
                                              const std::string& place, int depth = 0);

 private:
  absl::StatusOr<nlohmann::ordered_json> flat(const nlohmann::ordered_json& schema,
                                              const std::string& place, int depth);
  absl::Status add_keyword(nlohmann::ordered_json& to, const std::string& keyword,
                           const nlohmann::ordered_json& value, const std::string& place);

  const nlohmann::ordered_json& root_;
  GrammarBuilder& builder_;
};

}  // namespace shoal::client::constrain
