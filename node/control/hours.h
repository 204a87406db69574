// SPDX-License-Identifier: Apache-2.0
// The hours in which a node serves, as --hours names them: "22-7", "12:30-13:30", "sat,sun@0-24".
// Pure: local time comes in by argument, so days with 23 or 25 hours need no rule of their own:
// what the clock on the wall shows counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::node {

inline constexpr int kMinutesOfDay = 24 * 60;

struct LocalTime {
  int weekday = 0;  // 0: Monday
  int minute = 0;   // of the day
};

// By the time zone of this process.
LocalTime local_time(std::int64_t unix_s);

class Hours {
 public:
  // Nothing named: always.
  Hours() = default;
  // Each text one or more ranges, "[DAYS@]FROM-TO[,...]": DAYS as "mon-fri" or "sat+sun", hours 0
  // to 24 with or without minutes; a range whose end is not behind its begin ends the day after.
  // INVALID_ARGUMENT says what to write.
  static absl::StatusOr<Hours> parse(const std::vector<std::string>& texts);

  bool always() const { return ranges_.empty(); }
  bool open(LocalTime at) const;
  // Minutes until it changes next by the clock on the wall; nullopt: never.
  std::optional<int> minutes_to_change(LocalTime at) const;
  const std::string& text() const { return text_; }  // as it was typed, for people

 private:
  struct Range {
    std::uint8_t days = 0x7f;  // bit 0: begins on Mondays
    int begin = 0, end = 0;    // minutes; the end may be on the next day, beyond kMinutesOfDay
  };
  static absl::StatusOr<Range> parse_range(const std::string& text);

  std::vector<Range> ranges_;
  std::string text_;
};

}  // namespace shoal::node
