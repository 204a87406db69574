// SPDX-License-Identifier: Apache-2.0
// What `--model` says: a folder, or a model of a Hugging Face hub, `org/name[@revision]`. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace shoal::model::hub {

struct HubName {
  std::string repo;               // "org/name"
  std::string revision = "main";  // a branch, a tag, "refs/pr/1", or a commit

  std::string text() const;  // "org/name", with "@revision" where that is not main
  bool operator==(const HubName&) const = default;
};

// Two parts of letters, digits, "-", "_" and ".", of at most 96 characters together, as hubs have
// them; a revision of at most 255. nullopt: it is none.
std::optional<HubName> parse_hub_name(std::string_view text);

// A commit: 40 small hexadecimal digits.
bool is_commit(std::string_view revision);

// nullopt: a folder. A folder that is there wins; INVALID_ARGUMENT names both ways for what can be
// neither. What looks like a path is left to whoever opens it.
absl::StatusOr<std::optional<HubName>> name_of_model(const std::string& text, bool is_there);

}  // namespace shoal::model::hub
