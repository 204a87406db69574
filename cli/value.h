// SPDX-License-Identifier: Apache-2.0
// What an option or operand takes: a text as it stands, a name that is not empty, a number within
// its range, one of several words. A value checks, names what is wrong with its range, and stores
// into a variable that must outlive it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoal::cli {

struct Value {
  // `name` is what the user calls it: "--seed". Errors are usage errors.
  std::function<absl::Status(const std::string& name, const std::string& text)> take;
  bool again = false;     // may be given several times
  bool any_text = false;  // what looks like an option is a text too
  std::string preset;     // the default for --help; empty: said by the help text, if at all
  std::vector<std::string> words;  // all that it may be; empty: other texts too
};

// Any text in UTF-8, the empty one too. Brackets, commas, quotes, percent signs: as typed.
Value text(std::string& where);
Value texts(std::vector<std::string>& where);  // given again: one more
// File names, addresses: any bytes, but not empty.
Value name(std::string& where);
Value names(std::vector<std::string>& where);
Value one_of(std::string& where, std::vector<std::string> words);

// Decimal digits and nothing else; no sign but a minus, no blanks, no exponent.
absl::StatusOr<std::uint64_t> parse_whole(const std::string& name, const std::string& text,
                                          std::uint64_t least, std::uint64_t most);

struct RealRange {
  double least = 0;
  double most = 1;
  bool above_least = false;  // `least` itself is out of range
  std::string note;          // behind the range: "(1 turns it off)"
};
absl::StatusOr<double> parse_real(const std::string& name, const std::string& text,
                                  const RealRange& range);

template <typename T>
Value whole(T& where, std::uint64_t least, std::uint64_t most) {
  Value value;
  value.take = [&where, least, most](const std::string& name,
                                     const std::string& text) -> absl::Status {
    const auto number = parse_whole(name, text, least, most);
    if (!number.ok()) return number.status();
    if constexpr (std::is_arithmetic_v<T>) {
      where = static_cast<T>(*number);
    } else {
      where = static_cast<typename T::value_type>(*number);
    }
    return absl::OkStatus();
  };
  if constexpr (std::is_arithmetic_v<T>) {
    if (where != T{}) value.preset = std::to_string(where);
  }
  return value;
}

std::string preset_text(double number);  // "10", "0.5"

template <typename T>
Value real(T& where, RealRange range) {
  Value value;
  if constexpr (std::is_arithmetic_v<T>) {
    if (where != T{}) value.preset = preset_text(where);
  }
  value.take = [&where, range = std::move(range)](const std::string& name,
                                                  const std::string& text) -> absl::Status {
    const auto number = parse_real(name, text, range);
    if (!number.ok()) return number.status();
    where = *number;
    return absl::OkStatus();
  };
  return value;
}

}  // namespace shoal::cli
