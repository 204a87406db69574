// SPDX-License-Identifier: Apache-2.0
#include "base/memory_size.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <cmath>
#include <map>

namespace shoal::base {
namespace {

constexpr double kMost = 9e18;  // fits 63 bits

absl::Status wrong(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not an amount of memory ({}): write 6GiB, 500MB or 50%", text, why));
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

std::uint64_t MemorySize::of(std::uint64_t total_bytes) const {
  if (percent == 0) return bytes;
  return static_cast<std::uint64_t>(static_cast<double>(total_bytes) * percent / 100);
}

absl::StatusOr<MemorySize> parse_memory_size(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  // No exponents: in "1e3" the unit would begin at "e".
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number)) return wrong(text, "no number");
  if (number <= 0) return wrong(text, "it must be more than nothing");
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  if (unit == "%") {
    if (number > 100) return wrong(text, "more than all");
    return MemorySize{0, number};
  }
  static const std::map<std::string, double> kUnits = {
      {"", 1.0},       {"b", 1.0},      {"kb", 1e3},     {"mb", 1e6},    {"gb", 1e9},
      {"tb", 1e12},    {"k", 0x1p10},   {"m", 0x1p20},   {"g", 0x1p30},  {"t", 0x1p40},
      {"kib", 0x1p10}, {"mib", 0x1p20}, {"gib", 0x1p30}, {"tib", 0x1p40}};
  const auto found = kUnits.find(lower(unit));
  if (found == kUnits.end()) return wrong(text, "unknown unit");
  const double bytes = std::floor(number * found->second);
  if (bytes < 1) return wrong(text, "less than one byte");
  if (bytes > kMost) return wrong(text, "more than there is");
  return MemorySize{static_cast<std::uint64_t>(bytes), 0};
}

std::string memory_text(std::uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / 0x1p20;
  return mib < 10'000 ? fmt::format("{:.0f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

}  // namespace shoal::base
