// SPDX-License-Identifier: Apache-2.0
// How answers are sampled, as it is changed in the middle of a talk. Plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "client/text/sampler.h"

namespace shoal::client {

struct ChatSettings {
  SamplingOptions sampling;
  std::int64_t max_tokens = 0;        // of an answer
  std::optional<std::uint64_t> seed;  // of each answer; absent: another each time
};

// "temperature", "0.7". INVALID_ARGUMENT says which names and values there are, and changes
// nothing.
absl::Status change(ChatSettings& settings, const std::string& name, const std::string& value);
// A line each.
std::string settings_text(const ChatSettings& settings);

}  // namespace shoal::client
