// SPDX-License-Identifier: Apache-2.0
// Unicode properties as the reference's regular expressions see them: Unicode 16
// (Oniguruma 6.9.10), while Debian's utf8proc and PCRE2 know 15 and 14. unicode_delta.cc holds the
// difference.
#pragma once

#include <span>
#include <string_view>

namespace shoal::model {

struct CategoryRange {
  char32_t first;
  char32_t last;
  char category[3];  // "Lu", "Nd" ...
};
std::span<const CategoryRange> categories_since_unicode_14();

struct CodeRange {
  char32_t first;
  char32_t last;
};
std::span<const CodeRange> nfc_since_unicode_9();

bool is_new_to_nfc(char32_t code);  // the reference's NFC leaves it alone, and everything across it
bool is_white_space(char32_t code);  // White_Space: \s of the reference
bool is_number(char32_t code);       // N*
bool is_word(
    char32_t code);  // \w of added tokens: alphabetic, mark, decimal digit, connector, joiner

}  // namespace shoal::model
