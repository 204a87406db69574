// SPDX-License-Identifier: Apache-2.0
// UTF-8: validation, walking by code point, and the two ways in which broken bytes become U+FFFD.
// No state is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace shoal::model {

inline constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

// Debian's absl has its own string_view type; this is the bridge for StrCat and hash tables.
inline absl::string_view as_absl(std::string_view text) { return {text.data(), text.size()}; }
std::string in_quotes(
    std::string_view text);  // in quotation marks, control bytes escaped, shortened

bool is_utf8(std::string_view text);
void append_utf8(char32_t code, std::string* out);

// The code point at *offset, which moves behind it. The text must be valid UTF-8.
inline char32_t next_code(std::string_view text, std::size_t* offset) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[*offset + i]); };
  const char32_t lead = at(0);
  if (lead < 0x80) {
    *offset += 1;
    return lead;
  }
  if (lead < 0xE0) {
    const char32_t code = (lead & 0x1F) << 6 | (at(1) & 0x3Fu);
    *offset += 2;
    return code;
  }
  if (lead < 0xF0) {
    const char32_t code = (lead & 0x0F) << 12 | (at(1) & 0x3Fu) << 6 | (at(2) & 0x3Fu);
    *offset += 3;
    return code;
  }
  const char32_t code =
      (lead & 0x07) << 18 | (at(1) & 0x3Fu) << 12 | (at(2) & 0x3Fu) << 6 | (at(3) & 0x3Fu);
  *offset += 4;
  return code;
}

// The code point that ends just before offset (> 0), and where it starts. Valid UTF-8 only.
char32_t previous_code(std::string_view text, std::size_t* offset);

// Follows one sequence of bytes: is it still the beginning of valid UTF-8?
class Utf8State {
 public:
  enum Verdict { kComplete, kPartial, kInvalid };
  Verdict push(unsigned char byte);  // after kInvalid the state is as at a character's start
  bool inside() const { return remaining_ > 0; }

 private:
  int remaining_ = 0;
  unsigned char low_ = 0x80;
  unsigned char high_ = 0xBF;
};

// Bytes to text, each maximal broken part as one U+FFFD (as WHATWG and Rust's from_utf8_lossy).
// Holds back at most 3 bytes.
class LossyUtf8 {
 public:
  void push(std::string_view bytes, std::string* out);
  void finish(std::string* out);

 private:
  Utf8State state_;
  std::string held_;
};

}  // namespace shoal::model
