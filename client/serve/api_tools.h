// SPDX-License-Identifier: Apache-2.0
// The functions that a request lets the model call, and whether it must. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/serve/api_fields.h"

namespace shoal::client {

inline constexpr std::size_t kMaxTools = 128;

struct ToolQuery {
  enum class Choice { kNone, kAuto, kRequired };
  nlohmann::ordered_json tools;  // as they came, for the template
  // Name and schema of the arguments: of those that may be called.
  std::vector<std::pair<std::string, nlohmann::ordered_json>> functions;
  Choice choice = Choice::kAuto;
  bool several = true;  // calls in one answer
};

// Nothing: the request has no tools.
absl::StatusOr<std::optional<ToolQuery>> read_tools(ApiFields& fields);
// "tools" alone: null, or a list of functions. INVALID_ARGUMENT names the one that is wrong.
absl::StatusOr<nlohmann::ordered_json> read_tool_list(const ApiFields& fields);
// What an assistant has called, in messages[index]. OK where there is nothing.
absl::Status check_tool_calls(const nlohmann::ordered_json& message, std::size_t index);

}  // namespace shoal::client
