// SPDX-License-Identifier: Apache-2.0
// GPT-2's alphabet: a printable character for each of the 256 bytes, used as the characters of
// byte-level vocabularies.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shoal::model {

char32_t byte_to_letter(unsigned char byte);
void append_letters(std::string_view bytes, std::string* out);
// The bytes that a token's letters stand for; nothing when some character is not of the alphabet.
std::optional<std::string> letters_to_bytes(std::string_view token);

}  // namespace shoal::model
