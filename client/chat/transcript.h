// SPDX-License-Identifier: Apache-2.0
// What was said in a talk: an optional system text, then user and assistant in turns. Plain value;
// to a file and back as JSON, messages as OpenAI's API has them.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::client {

inline constexpr std::size_t kMaxTranscriptBytes = 16u << 20;  // of a file

struct Turn {
  std::string user;
  std::optional<std::string> answer;  // not yet, or taken back

  bool operator==(const Turn&) const = default;
};

struct Transcript {
  std::string system;  // empty: none
  std::vector<Turn> turns;

  nlohmann::ordered_json messages() const;
  bool operator==(const Transcript&) const = default;
};

// With the name of the model that was talked to, for people.
std::string transcript_text(const Transcript& transcript, const std::string& model);
// INVALID_ARGUMENT says what is wrong; at most kMaxTranscriptBytes are read.
absl::StatusOr<Transcript> parse_transcript(std::string_view text);

}  // namespace shoal::client
