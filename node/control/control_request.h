// SPDX-License-Identifier: Apache-2.0
// What a node's owner asks of it over its local socket: one line, as "pause for=7200 free". Pure;
// the parser is total.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace shoal::node {

// Without the newline. The longest that is spoken has 30.
inline constexpr std::size_t kMaxRequestBytes = 256;
// A status has some 2 KiB.
inline constexpr std::size_t kMaxReplyBytes = 64 << 10;
inline constexpr std::int64_t kMaxPauseSeconds = 366 * 86400;

struct ControlRequest {
  enum class Verb { kStatus, kPause, kResume, kDrain };
  Verb verb = Verb::kStatus;
  std::optional<std::int64_t> for_s = {};  // pause, drain
  bool free = false;                       // pause, drain
  bool stop = false;                       // drain
  bool operator==(const ControlRequest&) const = default;
};

std::string line_of(const ControlRequest& request);  // with its newline
// INVALID_ARGUMENT names the word that is not understood.
absl::StatusOr<ControlRequest> parse_request(std::string_view line);

// "90", "45s", "30m", "2h", "1d": seconds, 1 to kMaxPauseSeconds.
absl::StatusOr<std::int64_t> parse_pause_time(const std::string& text);

}  // namespace shoal::node
