// SPDX-License-Identifier: Apache-2.0
// What Python's str does, on text that keeps its marks. Indices count characters. Pure but for the
// budget.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "model/chat/characters.h"
#include "model/chat/text.h"

namespace shoal::model::chat {

enum class Side { kLeft, kRight, kBoth };

// Without the characters of `chars`, or blanks where it is null, at its ends.
Text stripped(const Text& text, Side side, const Text* chars, Budget& budget);
Text in_case(const Text& text, Case wanted, Budget& budget);
Text capitalized(const Text& text, Budget& budget);
Text titled(const Text& text, Budget& budget);  // str.title
Text swapped_case(const Text& text, Budget& budget);
Text replaced(const Text& text, const Text& old, const Text& with, std::int64_t count,
              Budget& budget);  // count < 0: all
// `separator` null: at blanks. limit < 0: no limit. `from_right` takes the limit from there.
std::vector<Text> split(const Text& text, const Text* separator, std::int64_t limit,
                        bool from_right, Budget& budget);
std::vector<Text> split_lines(const Text& text, bool keep_ends, Budget& budget);
Text reversed_text(const Text& text, Budget& budget);

// Each character, with the bytes that it takes.
void for_each_code(
    const Text& text,
    const std::function<void(char32_t code, std::size_t begin, std::size_t end)>& see);
bool all_codes(const Text& text, bool (*holds)(char32_t));  // and not empty

// Padded to a width in characters; left + right of it is trusted if `fill` is.
Text padded(const Text& text, std::int64_t left, std::int64_t right, const Text& fill,
            Budget& budget);

}  // namespace shoal::model::chat
