// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>

namespace shoal::model {
namespace {

// The range that holds the code point, or null.
template <typename Ranges>
auto find_range(const Ranges& ranges, char32_t code) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), code,
                       [](char32_t value, const auto& range) { return value < range.first; });
  return after != ranges.begin() && code <= std::prev(after)->last ? &*std::prev(after) : nullptr;
}

std::string_view category(char32_t code) {
  const CategoryRange* newer = find_range(categories_since_unicode_14(), code);
  if (newer != nullptr) return newer->category;
  return utf8proc_category_string(static_cast<utf8proc_int32_t>(code));
}

}  // namespace

bool is_new_to_nfc(char32_t code) {
  return find_range(nfc_since_unicode_9(), code) != nullptr ||
         find_range(categories_since_unicode_14(), code) != nullptr;
}

bool is_white_space(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_number(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  return category(code)[0] == 'N';
}

bool is_word(char32_t code) {
  const std::string_view name = category(code);
  if (name[0] == 'L' || name[0] == 'M' || name == "Nd" || name == "Pc" || name == "Nl") return true;
  // Other_Alphabetic outside letters and marks, and the two joiners.
  return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
         (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189) ||
         code == 0x200C || code == 0x200D;
}

}  // namespace shoal::model
