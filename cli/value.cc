// SPDX-License-Identifier: Apache-2.0
#include "cli/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "cli/shown.h"
#include "cli/suggest.h"
#include "cli/usage.h"

namespace shoal::cli {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Like a number: shown without quotes.
std::string as_typed(const std::string& text) {
  const bool number = !text.empty() && text.size() <= 24 &&
                      text.find_first_not_of("0123456789+-.eE") == std::string::npos;
  return number ? text : shown(text);
}

absl::Status out_of_range(const std::string& name, const std::string& text,
                          const std::string& range) {
  if (text.empty()) return usage_error(fmt::format("{} is empty: give {}", name, range));
  return usage_error(fmt::format("{} is {}, but must be {}", name, as_typed(text), range));
}

absl::Status check_text(const std::string& name, const std::string& text) {
  const auto bad = not_utf8_at(text);
  if (!bad) return absl::OkStatus();
  return usage_error(fmt::format("{} {} is not UTF-8: byte {} is \\x{:02x}; give text in UTF-8",
                                 name, shown(text), *bad + 1,
                                 static_cast<unsigned char>(text[*bad])));
}

absl::Status check_name(const std::string& name, const std::string& text) {
  if (!text.empty()) return absl::OkStatus();
  return usage_error(fmt::format("{} is empty: give it a value", name));
}

// Digits, with one point among them if need be, with an exponent if need be.
bool is_real(std::string_view text) {
  if (text.starts_with('-')) text.remove_prefix(1);
  const auto digits = [&] {
    std::size_t n = 0;
    while (n < text.size() && is_digit(text[n])) ++n;
    text.remove_prefix(n);
    return n;
  };
  std::size_t found = digits();
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    found += digits();
  }
  if (found == 0) return false;
  if (text.starts_with('e') || text.starts_with('E')) {
    text.remove_prefix(1);
    if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
    if (digits() == 0) return false;
  }
  return text.empty();
}

}  // namespace

Value text(std::string& where) {
  Value value;
  value.take = [&where](const std::string& name, const std::string& text) {
    where = text;
    return check_text(name, text);
  };
  value.any_text = true;
  return value;
}

Value texts(std::vector<std::string>& where) {
  Value value;
  value.take = [&where](const std::string& name, const std::string& text) {
    where.push_back(text);
    return check_text(name, text);
  };
  value.again = true;
  value.any_text = true;
  return value;
}

Value name(std::string& where) {
  Value value;
  value.preset = where;
  value.take = [&where](const std::string& name, const std::string& text) {
    where = text;
    return check_name(name, text);
  };
  return value;
}

Value names(std::vector<std::string>& where) {
  Value value;
  value.take = [&where](const std::string& name, const std::string& text) {
    where.push_back(text);
    return check_name(name, text);
  };
  value.again = true;
  return value;
}

Value one_of(std::string& where, std::vector<std::string> words) {
  Value value;
  value.preset = where;
  value.words = words;
  value.take = [&where, words = std::move(words)](const std::string& name,
                                                  const std::string& text) -> absl::Status {
    where = text;
    if (std::find(words.begin(), words.end(), text) != words.end()) return absl::OkStatus();
    const std::string meant = did_you_mean(text, words);
    return usage_error(fmt::format("{} is {}, but must be {}{}", name, shown(text), either(words),
                                   words.size() == 1 ? "" : meant));
  };
  return value;
}

absl::StatusOr<std::uint64_t> parse_whole(const std::string& name, const std::string& text,
                                          std::uint64_t least, std::uint64_t most) {
  const bool negative = text.starts_with('-');
  const char* begin = text.data() + (negative ? 1 : 0);
  const char* end = text.data() + text.size();
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(begin, end, number);
  const bool good = begin != end && is_digit(*begin) && stop == end && error == std::errc() &&
                    (!negative || number == 0) && number >= least && number <= most;
  if (good) return number;
  return out_of_range(name, text, fmt::format("a whole number from {} to {}", least, most));
}

std::string preset_text(double number) { return fmt::format("{}", number); }

absl::StatusOr<double> parse_real(const std::string& name, const std::string& text,
                                  const RealRange& range) {
  // No locale is ever set, so the point is a point.
  const double number = is_real(text) ? std::strtod(text.c_str(), nullptr) : NAN;
  if (number <= range.most && (range.above_least ? number > range.least : number >= range.least)) {
    return number;
  }
  const std::string note = range.note.empty() ? "" : " " + range.note;
  return out_of_range(
      name, text,
      range.above_least
          ? fmt::format("a number above {} and at most {}{}", range.least, range.most, note)
          : fmt::format("a number from {} to {}{}", range.least, range.most, note));
}

}  // namespace shoal::cli
