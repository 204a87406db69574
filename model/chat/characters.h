// SPDX-License-Identifier: Apache-2.0
// Characters as Python's str sees them: which are blank, which are printed as they are by repr(),
// and their other cases. special_case.cc holds the cases that take several characters. Pure.
#pragma once

#include <string>
#include <string_view>

namespace shoal::model::chat {

bool is_blank(char32_t code);      // str.isspace, \s
bool is_printable(char32_t code);  // str.isprintable
bool is_letter(char32_t code);     // str.isalpha
bool is_decimal(char32_t code);    // str.isdecimal
bool is_digit(char32_t code);      // str.isdigit
bool is_numeric(char32_t code);    // str.isnumeric
bool is_upper(char32_t code);
bool is_lower(char32_t code);
bool is_title(char32_t code);
bool is_cased(char32_t code);
bool is_case_ignorable(char32_t code);

enum class Case { kUpper, kLower, kTitle };
void append_in_case(char32_t code, Case wanted, std::string* out);

// The characters that one becomes, where these are several or not those of simple case mapping;
// empty for all others.
std::u32string_view special_case(char32_t code, Case wanted);

}  // namespace shoal::model::chat
