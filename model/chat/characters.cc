// SPDX-License-Identifier: Apache-2.0
#include "model/chat/characters.h"

#include <utf8proc.h>

#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

utf8proc_int32_t as_utf8proc(char32_t code) { return static_cast<utf8proc_int32_t>(code); }

std::string_view category_of(char32_t code) { return utf8proc_category_string(as_utf8proc(code)); }

bool is_in(char32_t code, char32_t first, char32_t last) { return code >= first && code <= last; }

}  // namespace

bool is_blank(char32_t code) {
  return is_white_space(code) || is_in(code, 0x1C, 0x1F);  // separators of files and records
}

bool is_printable(char32_t code) {
  if (code < 0x80) return is_in(code, 0x20, 0x7E);
  const std::string_view name = category_of(code);
  return name[0] != 'C' && name[0] != 'Z';
}

bool is_letter(char32_t code) { return category_of(code)[0] == 'L'; }
bool is_decimal(char32_t code) { return category_of(code) == "Nd"; }

bool is_digit(char32_t code) {
  // Those with a digit's value that are no decimals: superscripts, circled digits and the like.
  return is_decimal(code) || code == 0xB2 || code == 0xB3 || code == 0xB9 || code == 0x19DA ||
         code == 0x2070 || is_in(code, 0x2074, 0x2079) || is_in(code, 0x2080, 0x2089) ||
         is_in(code, 0x2460, 0x2468) || is_in(code, 0x2474, 0x247C) ||
         is_in(code, 0x2488, 0x2490) || code == 0x24EA || is_in(code, 0x24F5, 0x24FD) ||
         code == 0x24FF || is_in(code, 0x2776, 0x277E) || is_in(code, 0x2780, 0x2788) ||
         is_in(code, 0x278A, 0x2792) || is_in(code, 0x1369, 0x1371) ||
         is_in(code, 0x10A40, 0x10A43) || is_in(code, 0x10E60, 0x10E68) ||
         is_in(code, 0x11052, 0x1105A) || is_in(code, 0x1F100, 0x1F10A);
}

bool is_numeric(char32_t code) {
  // Ideographs that are numbers are letters by category.
  constexpr std::u32string_view kIdeographs =
      U"一二三四五六七八九十百千万零〇兩两亿億兆参參叁壹贰貳陆陸柒捌玖拾佰仟萬";
  return category_of(code)[0] == 'N' || kIdeographs.find(code) != std::u32string_view::npos;
}

bool is_upper(char32_t code) {
  return category_of(code) == "Lu" || is_in(code, 0x2160, 0x216F) || is_in(code, 0x24B6, 0x24CF) ||
         is_in(code, 0x1F130, 0x1F149) || is_in(code, 0x1F150, 0x1F169) ||
         is_in(code, 0x1F170, 0x1F189);
}

bool is_lower(char32_t code) {
  return category_of(code) == "Ll" || code == 0xAA || code == 0xBA || is_in(code, 0x2B0, 0x2B8) ||
         code == 0x2C0 || code == 0x2C1 || is_in(code, 0x2E0, 0x2E4) || code == 0x345 ||
         code == 0x37A || is_in(code, 0x1D2C, 0x1D6A) || code == 0x1D78 ||
         is_in(code, 0x1D9B, 0x1DBF) || code == 0x2071 || code == 0x207F ||
         is_in(code, 0x2090, 0x209C) || is_in(code, 0x2170, 0x217F) ||
         is_in(code, 0x24D0, 0x24E9) || code == 0x2C7C || code == 0x2C7D;
}

bool is_title(char32_t code) { return category_of(code) == "Lt"; }
bool is_cased(char32_t code) { return is_upper(code) || is_lower(code) || is_title(code); }

bool is_case_ignorable(char32_t code) {
  const std::string_view name = category_of(code);
  return name == "Mn" || name == "Me" || name == "Cf" || name == "Lm" || name == "Sk" ||
         code == '\'' || code == '.' || code == ':' || code == 0xB7 || code == 0x2018 ||
         code == 0x2019 || code == 0x2024 || code == 0x2027;
}

void append_in_case(char32_t code, Case wanted, std::string* out) {
  if (code < 0x80) {
    const bool change = wanted == Case::kLower ? is_in(code, 'A', 'Z') : is_in(code, 'a', 'z');
    out->push_back(static_cast<char>(change ? code ^ 0x20 : code));
    return;
  }
  const std::u32string_view several = special_case(code, wanted);
  for (const char32_t one : several) append_utf8(one, out);
  if (!several.empty()) return;
  const utf8proc_int32_t from = as_utf8proc(code);
  const utf8proc_int32_t to = wanted == Case::kUpper   ? utf8proc_toupper(from)
                              : wanted == Case::kLower ? utf8proc_tolower(from)
                                                       : utf8proc_totitle(from);
  append_utf8(static_cast<char32_t>(to), out);
}

}  // namespace shoal::model::chat
