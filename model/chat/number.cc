// SPDX-License-Identifier: Apache-2.0
#include "model/chat/number.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <system_error>

#include "model/chat/budget.h"
#include "model/chat/characters.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

// Blanks around a number do not count.
std::string_view trimmed(std::string_view text) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    std::size_t next = begin;
    if (!is_blank(next_code(text, &next))) break;
    begin = next;
  }
  std::size_t end = text.size();
  while (end > begin) {
    std::size_t before = end;
    if (!is_blank(previous_code(text, &before))) break;
    end = before;
  }
  return text.substr(begin, end - begin);
}

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

// Without the underscores that may stand between digits; nullopt if one stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text, bool after_prefix) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      result.push_back(text[i]);
      continue;
    }
    const bool follows =
        i > 0 ? std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0 : after_prefix;
    if (!follows || i + 1 == text.size() || !std::isalnum(static_cast<unsigned char>(text[i + 1])))
      return std::nullopt;
  }
  return result;
}

}  // namespace

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view shortest(buffer, static_cast<std::size_t>(end.ptr - buffer));
  const std::size_t mark = shortest.find('e');
  const int exponent = std::atoi(std::string(shortest.substr(mark + 1)).c_str());
  std::string sign;
  std::string digits;
  for (const char c : shortest.substr(0, mark)) {
    if (c == '-') sign = "-";
    if (is_ascii_digit(c)) digits.push_back(c);
  }
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    std::string result = sign + digits.substr(0, 1);
    if (count > 1) result += "." + digits.substr(1);
    std::snprintf(buffer, sizeof buffer, "e%c%02d", exponent < 0 ? '-' : '+', std::abs(exponent));
    return result + buffer;
  }
  if (exponent < 0) {
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  if (count <= exponent + 1) {
    return sign + digits +
           std::string(static_cast<std::size_t>(exponent) + 1 - static_cast<std::size_t>(count),
                       '0') +
           ".0";
  }
  const std::size_t whole = static_cast<std::size_t>(exponent) + 1;
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::optional<double> read_float(std::string_view text) {
  text = trimmed(text);
  std::string lower;
  for (const char c : text) {
    lower.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  }
  std::string_view unsigned_part = lower;
  const bool negative = !lower.empty() && lower[0] == '-';
  if (!lower.empty() && (lower[0] == '-' || lower[0] == '+')) unsigned_part.remove_prefix(1);
  if (unsigned_part == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (unsigned_part == "inf" || unsigned_part == "infinity") {
    const double infinite = std::numeric_limits<double>::infinity();
    return negative ? -infinite : infinite;
  }
  const std::optional<std::string> plain = without_underscores(unsigned_part, false);
  if (!plain || plain->empty()) return std::nullopt;
  std::size_t at = 0;
  std::size_t digits = 0;
  const auto skip_digits = [&] {
    const std::size_t begin = at;
    while (at < plain->size() && is_ascii_digit((*plain)[at])) ++at;
    return at - begin;
  };
  digits = skip_digits();
  if (at < plain->size() && (*plain)[at] == '.') {
    ++at;
    digits += skip_digits();
  }
  if (digits == 0) return std::nullopt;
  if (at < plain->size() && (*plain)[at] == 'e') {
    ++at;
    if (at < plain->size() && ((*plain)[at] == '-' || (*plain)[at] == '+')) ++at;
    if (skip_digits() == 0) return std::nullopt;
  }
  if (at != plain->size()) return std::nullopt;
  const double value = std::strtod(plain->c_str(), nullptr);
  return negative ? -value : value;
}

std::optional<std::int64_t> read_integer(std::string_view text, int base) {
  text = trimmed(text);
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  bool has_prefix = false;
  if (text.size() > 1 && text[0] == '0') {
    const char letter = static_cast<char>(std::tolower(static_cast<unsigned char>(text[1])));
    const int named = letter == 'x' ? 16 : (letter == 'o' ? 8 : (letter == 'b' ? 2 : 0));
    if (named != 0 && (base == named || base == 0)) {
      base = named;
      has_prefix = true;
      text.remove_prefix(2);
    }
  }
  const std::optional<std::string> plain = without_underscores(text, has_prefix);
  if (!plain || plain->empty()) return std::nullopt;
  if (base == 0) {
    if ((*plain)[0] == '0' && plain->find_first_not_of('0') != std::string::npos) {
      return std::nullopt;
    }
    base = 10;
  }
  std::uint64_t value = 0;
  const auto end = std::from_chars(plain->data(), plain->data() + plain->size(), value, base);
  if (end.ptr != plain->data() + plain->size()) return std::nullopt;
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (end.ec != std::errc() || value > kMost) fail_overflow();
  return negative ? -static_cast<std::int64_t>(value) : static_cast<std::int64_t>(value);
}

std::optional<std::int64_t> whole_part(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

double round_to(double value, int digits) {
  if (!std::isfinite(value) || digits > 300) return value;
  if (digits >= 0) {
    char buffer[700];  // the exact decimal value, rounded half to even, as Python does
    std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
    return std::strtod(buffer, nullptr);
  }
  if (digits < -308) return std::copysign(0.0, value);
  const double unit = std::pow(10.0, -digits);
  return std::nearbyint(value / unit) * unit;
}

void fail_overflow() { fail("an integer needs more than 64 bits, which templates have not here"); }

std::int64_t sum(std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  if (__builtin_add_overflow(left, right, &result)) fail_overflow();
  return result;
}

std::int64_t difference(std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  if (__builtin_sub_overflow(left, right, &result)) fail_overflow();
  return result;
}

std::int64_t product(std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(left, right, &result)) fail_overflow();
  return result;
}

std::int64_t floor_quotient(std::int64_t left, std::int64_t right) {
  if (right == -1) return difference(0, left);
  const std::int64_t quotient = left / right;
  return left % right != 0 && (left < 0) != (right < 0) ? quotient - 1 : quotient;
}

std::int64_t floor_remainder(std::int64_t left, std::int64_t right) {
  if (right == -1) return 0;
  const std::int64_t rest = left % right;
  return rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest;
}

double float_remainder(double left, double right) {
  const double rest = std::fmod(left, right);
  if (rest == 0) return std::copysign(0.0, right);
  return (rest < 0) != (right < 0) ? rest + right : rest;
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  if (exponent > 0 && (base == 0 || base == 1)) return base;
  if (base == -1) return exponent % 2 == 0 ? 1 : -1;
  std::int64_t result = 1;
  for (; exponent > 0; --exponent) result = product(result, base);  // overflows within 64
  return result;
}

}  // namespace shoal::model::chat
