// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/byte_alphabet.h"

#include <array>

#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr char32_t kLetters = 0x144;  // the alphabet lies below

struct Alphabet {
  std::array<char32_t, 256> letter{};
  std::array<std::string, 256> utf8;
  std::array<int, kLetters> byte{};

  Alphabet() {
    byte.fill(-1);
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      const char32_t code = itself ? static_cast<char32_t>(b) : next++;
      letter[static_cast<std::size_t>(b)] = code;
      append_utf8(code, &utf8[static_cast<std::size_t>(b)]);
      byte[code] = b;
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

char32_t byte_to_letter(unsigned char byte) { return alphabet().letter[byte]; }

void append_letters(std::string_view bytes, std::string* out) {
  const Alphabet& table = alphabet();
  for (const char c : bytes) out->append(table.utf8[static_cast<unsigned char>(c)]);
}

std::optional<std::string> letters_to_bytes(std::string_view token) {
  const Alphabet& table = alphabet();
  std::string bytes;
  for (std::size_t at = 0; at < token.size();) {
    const char32_t code = next_code(token, &at);
    if (code >= kLetters || table.byte[code] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(table.byte[code]));
  }
  return bytes;
}

}  // namespace shoal::model
