// SPDX-License-Identifier: Apache-2.0
// What somebody typed in a talk: something to say, or a command. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shoal::client {

struct ChatLine {
  enum class Kind : std::uint8_t {
    kNothing,
    kSay,         // text
    kOpensQuote,  // text so far; lines follow until one that ends in """
    kHelp,
    kReset,
    kSystem,  // text; empty: none any more
    kRegenerate,
    kSave,  // text: a file
    kLoad,  // likewise
    kStats,
    kShow,  // what is set
    kSet,   // text: a name, value
    kQuit,
    kWrong,  // text: a sentence
  };
  Kind kind = Kind::kNothing;
  std::string text;
  std::string value;

  bool operator==(const ChatLine&) const = default;
};

ChatLine read_chat_line(std::string_view line);
// Of the commands, a line each.
std::string chat_help();

// Within """: the line's part of the text; true when it ends it.
bool closes_quote(std::string_view line, std::string& text);

}  // namespace shoal::client
