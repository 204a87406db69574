// SPDX-License-Identifier: Apache-2.0
#include "node/account/amounts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

namespace shoal::node {
namespace {

// `number` in the first of these units in which it stays below 1000.
std::string in_units(double number, const std::array<const char*, 6>& units) {
  std::size_t unit = 0;
  // 999.96 would be written as 1000.0.
  while (number >= 999.95 && unit + 1 < units.size()) {
    number /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", number, units.at(unit));
}

}  // namespace

std::string count_text(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string count_of(std::uint64_t number, const char* one, const char* many) {
  return count_text(number) + " " + (number == 1 ? one : many);
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  return in_units(static_cast<double>(bytes), {"B", "kB", "MB", "GB", "TB", "PB"});
}

std::string duration_text(double seconds) {
  constexpr std::uint64_t kMinute = 60, kHour = 3600, kDay = 86400;
  const auto whole = static_cast<std::uint64_t>(std::clamp(seconds, 0.0, 1e12));
  if (whole < kMinute) return fmt::format("{} s", whole);
  if (whole < kHour) {
    return whole % kMinute == 0 ? fmt::format("{} min", whole / kMinute)
                                : fmt::format("{} min {} s", whole / kMinute, whole % kMinute);
  }
  if (whole < kDay) {
    const std::uint64_t minutes = whole % kHour / kMinute;
    return minutes == 0 ? fmt::format("{} h", whole / kHour)
                        : fmt::format("{} h {} min", whole / kHour, minutes);
  }
  const std::uint64_t hours = whole % kDay / kHour;
  const std::string days = count_of(whole / kDay, "day", "days");
  return hours == 0 ? days : fmt::format("{} {} h", days, hours);
}

std::string energy_text(double joules) {
  constexpr double kJoulesPerKwh = 3.6e6;
  return fmt::format("{} ({:.3f} kWh)", in_units(joules, {"J", "kJ", "MJ", "GJ", "TJ", "PJ"}),
                     joules / kJoulesPerKwh);
}

std::string date_text(std::int64_t unix_s) {
  const std::time_t time = unix_s;
  std::tm parts{};
  if (localtime_r(&time, &parts) == nullptr) return "an unknown time";
  std::array<char, 32> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M", &parts);
  return {text.data(), size};
}

}  // namespace shoal::node
