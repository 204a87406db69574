// SPDX-License-Identifier: Apache-2.0
#include "client/chat/final_message.h"

#include <algorithm>
#include <string_view>

namespace shoal::client {
namespace {

// As Python's str.lstrip() and strip() for ASCII.
constexpr const char* kSpaces = " \t\n\v\f\r";

std::string_view without_leading(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
  return text;
}

std::string_view stripped_of(std::string_view text) {
  text = without_leading(text);
  return text.substr(0, text.find_last_not_of(kSpaces) + 1);
}

}  // namespace

absl::Status end_with_message(std::vector<model::chat::Segment>& segments,
                              const std::string& message) {
  const std::string text = model::chat::joined(segments);
  const std::string_view stripped = stripped_of(message);
  const std::size_t at = text.rfind(stripped);
  if (at == std::string::npos) {
    return absl::InvalidArgumentError(
        "the model's template does not write the last message as it is, so it cannot be continued");
  }
  const std::string_view kept = without_leading(message);
  const bool keeps_spaces = std::string_view(text).substr(at, kept.size()) == kept;
  std::size_t left = at + (keeps_spaces ? kept.size() : stripped.size());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].text.size() < left) {
      left -= segments[i].text.size();
      continue;
    }
    segments[i].text.resize(left);
    segments.resize(left > 0 ? i + 1 : i);
    break;
  }
  return absl::OkStatus();
}

}  // namespace shoal::client
