// SPDX-License-Identifier: Apache-2.0
#include "model/chat/escapes.h"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <system_error>

#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

// As the reference writes it in ASCII; it matters behind a backslash alone.
std::string in_ascii(char32_t code) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer,
                code < 0x100 ? "\\x%02x" : (code < 0x10000 ? "\\u%04x" : "\\U%08x"),
                static_cast<unsigned>(code));
  return buffer;
}

char simple_escape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case '\\':
    case '\'':
    case '"':
      return c;
    default:
      return '\0';
  }
}

}  // namespace

bool unescape(std::string_view text, std::string* out, std::string* why) {
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != '\\' || at + 1 >= text.size()) {
      out->push_back(text[at++]);
      continue;
    }
    const char c = text[at + 1];
    if (static_cast<unsigned char>(c) >= 0x80) {
      // The backslash eats that of the character behind it, whose digits then stand as they are.
      ++at;
      *out += in_ascii(next_code(text, &at));
      continue;
    }
    at += 2;
    if (c == '\n') continue;
    if (const char simple = simple_escape(c); simple != '\0') {
      out->push_back(simple);
    } else if (c >= '0' && c <= '7') {
      char32_t code = static_cast<char32_t>(c - '0');
      for (int i = 0; i < 2 && at < text.size() && text[at] >= '0' && text[at] <= '7'; ++i) {
        code = code * 8 + static_cast<char32_t>(text[at++] - '0');
      }
      append_utf8(code, out);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t digits = c == 'x' ? 2 : (c == 'u' ? 4 : 8);
      const std::string_view hex = text.substr(at, digits);
      std::uint32_t code = 0;
      const auto end = std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
      if (hex.size() < digits || end.ptr != hex.data() + hex.size() || code > 0x10FFFF ||
          (code >= 0xD800 && code < 0xE000)) {
        *why = "the escape " + in_quotes(text.substr(at - 2, digits + 2)) + " says no character";
        return false;
      }
      at += digits;
      append_utf8(code, out);
    } else if (c == 'N') {
      *why = "the escape \\N{...} of a name is not supported; write the character itself";
      return false;
    } else {
      out->push_back('\\');
      out->push_back(c);
    }
  }
  return true;
}

}  // namespace shoal::model::chat
