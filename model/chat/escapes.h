// SPDX-License-Identifier: Apache-2.0
// The escapes of string literals, as the reference resolves them: the text as ASCII with
// backslashes (a character above it becomes \xhh, \uhhhh or \Uhhhhhhhh), then Python's
// unicode-escape. Pure.
#pragma once

#include <string>
#include <string_view>

namespace shoal::model::chat {

// False with a reason for an escape that says no character.
bool unescape(std::string_view text, std::string* out, std::string* why);

}  // namespace shoal::model::chat
