// SPDX-License-Identifier: Apache-2.0
// What is done to a conversation before a template sees it, as the reference does, and its bounds.
// Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoal::model::chat {

inline constexpr std::size_t kMaxConversationBytes = 16u << 20;
inline constexpr std::size_t kMaxConversationValues = 1u << 20;

// INVALID_ARGUMENT, naming the message, for what is no list of objects.
absl::StatusOr<nlohmann::ordered_json> prepared_messages(const nlohmann::ordered_json& messages);
// Null, or a list of objects; `what` begins the error.
absl::Status check_objects(const nlohmann::ordered_json& list, const char* what);
// Counts bytes of text and values; both bounds hold for the sum of several.
class ConversationSize {
 public:
  absl::Status add(const nlohmann::ordered_json& json, int depth = 0);

 private:
  std::size_t bytes_ = 0;
  std::size_t values_ = 0;
};

}  // namespace shoal::model::chat
