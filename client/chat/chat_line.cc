// SPDX-License-Identifier: Apache-2.0
#include "client/chat/chat_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "cli/shown.h"
#include "cli/suggest.h"

namespace shoal::client {
namespace {

using Kind = ChatLine::Kind;

constexpr std::string_view kQuote = "\"\"\"";
constexpr std::string_view kBlanks = " \t\r\n";

struct Known {
  std::string_view word;
  Kind kind;
  std::string_view argument;  // what it wants; empty: nothing
  std::string_view help;      // empty: another word for the one above
};
constexpr std::array kKnown = {
    Known{"/reset", Kind::kReset, "", "forget what was said"},
    Known{"/clear", Kind::kReset, "", ""},
    Known{"/system", Kind::kSystem, "[TEXT]",
          "tell the model who it is, or nothing; forgets what was said"},
    Known{"/regenerate", Kind::kRegenerate, "", "another answer to what you said last"},
    Known{"/save", Kind::kSave, "FILE", "write the talk to a file"},
    Known{"/load", Kind::kLoad, "FILE", "go on with a talk from a file"},
    Known{"/stats", Kind::kStats, "", "how quick the last answer was, and who computed it"},
    Known{"/set", Kind::kSet, "[NAME VALUE]",
          "change a setting, for example /set temperature 0.7, or show them"},
    Known{"/help", Kind::kHelp, "", "this"},
    Known{"/?", Kind::kHelp, "", ""},
    Known{"/quit", Kind::kQuit, "", "end; so does Ctrl-D"},
    Known{"/exit", Kind::kQuit, "", ""},
    Known{"/bye", Kind::kQuit, "", ""},
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

ChatLine wrong(std::string sentence) { return {Kind::kWrong, std::move(sentence), {}}; }

ChatLine unknown(std::string_view word) {
  std::vector<std::string> words;
  words.reserve(kKnown.size());
  for (const Known& known : kKnown) words.emplace_back(known.word);
  return wrong(fmt::format("there is no {}{} (/help shows what there is)", cli::printable(word),
                           cli::did_you_mean(word, words)));
}

ChatLine setting(std::string_view rest) {
  if (rest.empty()) return {Kind::kShow, {}, {}};
  const std::size_t end = rest.find_first_of(kBlanks);
  if (end == std::string_view::npos) {
    return wrong(fmt::format("/set {} needs a value", cli::printable(rest)));
  }
  return {Kind::kSet, std::string(rest.substr(0, end)), std::string(trimmed(rest.substr(end)))};
}

ChatLine command(std::string_view line) {
  const std::size_t end = std::min(line.find_first_of(kBlanks), line.size());
  const std::string_view word = line.substr(0, end), rest = trimmed(line.substr(end));
  for (const Known& known : kKnown) {
    if (known.word != word) continue;
    if (known.kind == Kind::kSet) return setting(rest);
    if (known.argument.empty() && !rest.empty()) {
      return wrong(fmt::format("{} takes nothing behind it", known.word));
    }
    if (!known.argument.empty() && known.argument[0] != '[' && rest.empty()) {
      return wrong(fmt::format("{} needs a {}", known.word, known.argument));
    }
    return {known.kind, std::string(rest), {}};
  }
  return unknown(word);
}

}  // namespace

ChatLine read_chat_line(std::string_view line) {
  const std::string_view text = trimmed(line);
  if (text.empty()) return {};
  if (text.starts_with(kQuote)) {
    std::string quoted;
    if (closes_quote(text.substr(kQuote.size()), quoted)) return {Kind::kSay, quoted, {}};
    return {Kind::kOpensQuote, quoted, {}};
  }
  // A path or a fraction is something to say: commands are one slash and letters.
  if (text[0] == '/' &&
      text.substr(1, text.find_first_of(kBlanks) - 1).find('/') == std::string_view::npos) {
    return command(text);
  }
  return {Kind::kSay, std::string(text), {}};
}

bool closes_quote(std::string_view line, std::string& text) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  const bool closes = line.ends_with(kQuote);
  if (closes) line.remove_suffix(kQuote.size());
  text += line;
  if (!closes) text += '\n';
  return closes;
}

std::string chat_help() {
  std::string text;
  for (const Known& known : kKnown) {
    if (known.help.empty()) continue;
    text +=
        fmt::format("  {:<20}  {}\n", fmt::format("{} {}", known.word, known.argument), known.help);
  }
  return text +
         "  \"\"\"                   begins a text of several lines, and ends it\n"
         "  Ctrl-C                stops an answer, or takes back what you are typing\n";
}

}  // namespace shoal::client
