// SPDX-License-Identifier: Apache-2.0
#include "node/control/hours.h"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <string_view>

namespace shoal::node {
namespace {

constexpr int kDaysOfWeek = 7;
constexpr std::size_t kMostRanges = 64;
constexpr std::array<std::string_view, kDaysOfWeek> kDayNames = {"mon", "tue", "wed", "thu",
                                                                 "fri", "sat", "sun"};

std::vector<std::string> split_at(const std::string& text, char at) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<int> day_named(const std::string& name) {
  for (int day = 0; day < kDaysOfWeek; ++day) {
    if (kDayNames.at(static_cast<std::size_t>(day)) == name) return day;
  }
  return std::nullopt;
}

// "mon-fri", "sat+sun", "fri-mon".
std::optional<std::uint8_t> parse_days(const std::string& text) {
  unsigned days = 0;
  for (const std::string& part : split_at(text, '+')) {
    const auto ends = split_at(part, '-');
    const auto first = day_named(ends.front());
    const auto last = day_named(ends.back());
    if (!first || !last || ends.size() > 2) return std::nullopt;
    for (int day = *first;; day = (day + 1) % kDaysOfWeek) {
      days |= 1U << day;
      if (day == *last) break;
    }
  }
  return static_cast<std::uint8_t>(days);
}

std::optional<int> two_digits(const std::string& text) {
  if (text.empty() || text.size() > 2) return std::nullopt;
  int number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    number = 10 * number + (c - '0');
  }
  return number;
}

// "7", "07:30", "24".
std::optional<int> parse_clock(const std::string& text) {
  const auto parts = split_at(text, ':');
  if (parts.size() > 2) return std::nullopt;
  const auto hour = two_digits(parts.front());
  const auto minute = parts.size() == 2 ? two_digits(parts.back()) : std::optional(0);
  if (!hour || !minute || *minute >= 60) return std::nullopt;
  const int minutes = *hour * 60 + *minute;
  return minutes <= kMinutesOfDay ? std::optional(minutes) : std::nullopt;
}

}  // namespace

LocalTime local_time(std::int64_t unix_s) {
  const std::time_t time = unix_s;
  std::tm parts{};
  localtime_r(&time, &parts);
  return {(parts.tm_wday + kDaysOfWeek - 1) % kDaysOfWeek, parts.tm_hour * 60 + parts.tm_min};
}

absl::StatusOr<Hours::Range> Hours::parse_range(const std::string& text) {
  const auto wrong = absl::InvalidArgumentError(fmt::format(
      "\"{}\" names no hours: write FROM-TO, for example 22-7 or 12:30-13:30, with days "
      "before it where they matter, for example mon-fri@22-7 or sat+sun@0-24",
      text));
  Range range;
  const auto parts = split_at(text, '@');
  if (parts.size() > 2) return wrong;
  if (parts.size() == 2) {
    const auto days = parse_days(parts.front());
    if (!days) return wrong;
    range.days = *days;
  }
  const auto clocks = split_at(parts.back(), '-');
  if (clocks.size() != 2) return wrong;
  const auto begin = parse_clock(clocks.front());
  const auto end = parse_clock(clocks.back());
  if (!begin || !end || *begin == kMinutesOfDay || *begin == *end) return wrong;
  range.begin = *begin;
  range.end = *end > *begin ? *end : *end + kMinutesOfDay;
  return range;
}

absl::StatusOr<Hours> Hours::parse(const std::vector<std::string>& texts) {
  Hours hours;
  for (const std::string& text : texts) {
    for (const std::string& part : split_at(text, ',')) {
      const auto range = parse_range(part);
      if (!range.ok()) return range.status();
      if (hours.ranges_.size() == kMostRanges) {
        return absl::InvalidArgumentError(
            fmt::format("more than {} ranges of hours: name fewer", kMostRanges));
      }
      hours.ranges_.push_back(*range);
    }
    hours.text_ += (hours.text_.empty() ? "" : ",") + text;
  }
  return hours;
}

bool Hours::open(LocalTime at) const {
  if (always()) return true;
  const int day_before = (at.weekday + kDaysOfWeek - 1) % kDaysOfWeek;
  for (const Range& range : ranges_) {
    const bool today = (range.days >> at.weekday & 1) != 0;
    const bool yesterday = (range.days >> day_before & 1) != 0;
    if (today && range.begin <= at.minute && at.minute < range.end) return true;
    if (yesterday && at.minute + kMinutesOfDay < range.end) return true;
  }
  return false;
}

std::optional<int> Hours::minutes_to_change(LocalTime at) const {
  const bool now = open(at);
  for (int minutes = 1; minutes <= kDaysOfWeek * kMinutesOfDay; ++minutes) {
    const int minute = at.minute + minutes;
    const LocalTime then{(at.weekday + minute / kMinutesOfDay) % kDaysOfWeek,
                         minute % kMinutesOfDay};
    if (open(then) != now) return minutes;
  }
  return std::nullopt;
}

}  // namespace shoal::node
