// SPDX-License-Identifier: Apache-2.0
#include "proto/name.h"

#include <cstdint>

namespace shoal::proto {
namespace {

// Bytes of the well-formed, printable character at the start of `text`; 0 if there is none.
std::size_t clean_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  std::uint32_t code = first & (0xff >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool control = code < 0xa0;  // C1
  // Characters that turn the direction of what follows: they could make a terminal show another
  // text.
  const bool turning = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
                       code == 0x2028 || code == 0x2029;
  return overlong || surrogate || control || turning || code > 0x10ffff ? 0 : size;
}

}  // namespace

bool is_clean_name(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = clean_character(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string clean_name(std::string_view text, std::size_t max_bytes) {
  std::string result;
  while (!text.empty()) {
    const std::size_t size = clean_character(text);
    const std::string_view piece = size == 0 ? std::string_view("?") : text.substr(0, size);
    if (result.size() + piece.size() > max_bytes) break;
    result += piece;
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return result;
}

}  // namespace shoal::proto
