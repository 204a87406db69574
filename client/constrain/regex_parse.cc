// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "client/constrain/limits.h"
#include "client/constrain/regex.h"
#include "model/tokenizer/utf8.h"

namespace shoal::client::constrain {
namespace {

CodePoints digits() { return CodePoints::of('0', '9'); }
CodePoints words() {
  CodePoints set = digits();
  set.add('a', 'z');
  set.add('A', 'Z');
  set.add('_', '_');
  return set;
}
CodePoints blanks() {
  CodePoints set = CodePoints::of('\t', '\n');
  set.add('\f', '\r');
  set.add(' ', ' ');
  return set;
}
// All that some dialect takes for white space: \S is none of it, for all of them.
CodePoints wide_blanks() {
  CodePoints set = CodePoints::of('\t', '\r');
  set.add(0x1C, ' ');
  for (const auto& [low, high] : {std::pair<char32_t, char32_t>{0x85, 0x85},
                                  {0xA0, 0xA0},
                                  {0x1680, 0x1680},
                                  {0x2000, 0x200A},
                                  {0x2028, 0x2029},
                                  {0x202F, 0x202F},
                                  {0x205F, 0x205F},
                                  {0x3000, 0x3000},
                                  {0xFEFF, 0xFEFF}}) {
    set.add(low, high);
  }
  return set;
}
CodePoints but_line_ends() {
  CodePoints ends = CodePoints::of('\n', '\n');
  ends.add('\r', '\r');
  ends.add(0x2028, 0x2029);
  return ends.complement();
}

// [:name:] within a class.
std::optional<CodePoints> posix_class(std::string_view name) {
  CodePoints set;
  if (name == "digit") return digits();
  if (name == "word") return words();
  if (name == "space") {
    set = blanks();
    set.add('\v', '\v');
    return set;
  }
  if (name == "upper" || name == "alpha" || name == "alnum") set.add('A', 'Z');
  if (name == "lower" || name == "alpha" || name == "alnum") set.add('a', 'z');
  if (name == "alnum" || name == "xdigit") set.add('0', '9');
  if (name == "xdigit") {
    set.add('a', 'f');
    set.add('A', 'F');
  }
  if (name == "punct") {
    for (const auto& [low, high] : {std::pair{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}) {
      set.add(static_cast<char32_t>(low), static_cast<char32_t>(high));
    }
  }
  if (set.empty()) return std::nullopt;
  return set;
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) {
    for (std::size_t at = 0; at < pattern.size();) {
      text_.push_back(model::next_code(pattern, &at));
    }
  }

  absl::StatusOr<std::vector<RegexBranch>> parse() {
    std::vector<RegexBranch> branches;
    for (;;) {
      RegexBranch branch;
      while (skip('^')) branch.at_begin = true;
      branch.regex = sequence(0, &branch.at_end);
      branches.push_back(std::move(branch));
      if (!skip('|')) break;
    }
    if (more() && status_.ok()) fail("a ) without its (");
    if (!status_.ok()) return status_;
    return branches;
  }

 private:
  bool more() const { return at_ < text_.size(); }
  char32_t peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0;
  }
  bool skip(char32_t code) {
    if (!more() || text_[at_] != code || !status_.ok()) return false;
    ++at_;
    return true;
  }
  void fail(const std::string& what) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        fmt::format("the regular expression is wrong at character {}: {}", at_ + 1, what));
  }

  // Up to | or ), or a $ that ends a branch at the top (at_end not null).
  Regex sequence(int depth, bool* at_end) {
    Regex result;
    if (depth > kMaxNesting) fail("groups nest too deep");
    while (more() && status_.ok() && peek() != '|' && peek() != ')') {
      if (peek() == '$') {
        const bool last = at_ + 1 == text_.size() || peek(1) == '|' || peek(1) == '$';
        if (at_end == nullptr || !last) {
          fail("$ is for the end of the whole expression only: write \\$ for the character");
          break;
        }
        ++at_;
        *at_end = true;
        continue;
      }
      Regex part = atom(depth);
      repeats(part);
      result.parts.push_back(std::move(part));
    }
    return result;
  }

  void repeats(Regex& part) {
    for (int i = 0; more() && status_.ok(); ++i) {
      std::int64_t least = 0, most = -1;
      if (skip('?')) {
        most = 1;
      } else if (skip('+')) {
        least = 1;
      } else if (!skip('*') && !counts(&least, &most)) {
        return;
      }
      if (!status_.ok()) return;
      if (i > 0) return fail("a repeat of a repeat: put the inner one into (?: )");
      part = Regex::repeat(std::move(part), least, most);
      if (peek() == '+') return fail("possessive repeats are not supported");
      skip('?');  // a lazy one matches the same texts
    }
  }

  std::optional<std::int64_t> number() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    std::int64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = std::min<std::int64_t>(value * 10 + (peek() - '0'), kMaxRepeats + 1);
      ++at_;
    }
    return value;
  }

  // {m}, {m,} or {m,n}; another brace is a character.
  bool counts(std::int64_t* least, std::int64_t* most) {
    const std::size_t begin = at_;
    if (!skip('{')) return false;
    const auto low = number();
    std::optional<std::int64_t> high = low;
    if (low && skip(',')) high = peek() == '}' ? std::optional<std::int64_t>(-1) : number();
    if (!low || !high || !skip('}')) {
      at_ = begin;
      return false;
    }
    if (std::max(*low, *high) > kMaxRepeats) {
      fail(fmt::format("a count is above {}", kMaxRepeats));
    } else if (*high >= 0 && *high < *low) {
      fail("the counts are the wrong way round");
    }
    *least = *low;
    *most = *high;
    return true;
  }

  Regex atom(int depth) {
    const char32_t code = peek();
    switch (code) {
      case '(':
        return group(depth);
      case '[':
        return Regex::of(char_class());
      case '.':
        ++at_;
        return Regex::of(but_line_ends());
      case '\\':
        return Regex::of(escape(/*in_class=*/false, /*negated=*/false));
      case '*':
      case '+':
      case '?':
        fail(fmt::format("{} repeats nothing", static_cast<char>(code)));
        return {};
      case '^':
        fail("^ is for the begin of the whole expression only: write \\^ for the character");
        return {};
      default:
        ++at_;
        return Regex::of(CodePoints::of(code, code));
    }
  }

  Regex group(int depth) {
    ++at_;
    if (skip('?')) {
      const bool named = peek() == '<' || (peek() == 'P' && peek(1) == '<');
      if (named) {
        at_ += peek() == 'P' ? 2 : 1;
        if (peek() == '=' || peek() == '!') {
          fail("looking behind is not supported");
          return {};
        }
        while (more() && peek() != '>') ++at_;
        if (!skip('>')) fail("the name of a group has no end");
      } else if (peek() == '=' || peek() == '!') {
        fail("looking ahead is not supported");
      } else if (!skip(':')) {
        fail("flags and special groups are not supported, only (?: ) and names");
      }
    }
    Regex either;
    either.kind = Regex::Kind::kEither;
    do {
      either.parts.push_back(sequence(depth + 1, nullptr));
    } while (skip('|'));
    if (!skip(')')) fail("a ( without its )");
    return either;
  }

  std::optional<char32_t> hex(std::size_t least, std::size_t most) {
    char32_t value = 0;
    std::size_t count = 0;
    for (; count < most; ++count, ++at_) {
      const char32_t c = peek();
      if (c >= '0' && c <= '9') {
        value = value * 16 + (c - '0');
      } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
        value = value * 16 + ((c | 0x20) - 'a' + 10);
      } else {
        break;
      }
    }
    if (count < least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) {
      return std::nullopt;
    }
    return value;
  }

  CodePoints one(std::optional<char32_t> code) {
    if (code) return CodePoints::of(*code, *code);
    fail("no character has such a number");
    return {};
  }

  CodePoints escape(bool in_class, bool negated) {
    ++at_;
    if (!more()) {
      fail("a \\ at the end");
      return {};
    }
    const char32_t code = text_[at_++];
    switch (code) {
      case 'd':
        return digits();
      case 'D':
        return digits().complement();
      case 'w':
        return words();
      case 'W':
        return words().complement();
      case 's':
        return negated ? wide_blanks() : blanks();
      case 'S':
        return (negated ? blanks() : wide_blanks()).complement();
      case 'n':
        return CodePoints::of('\n', '\n');
      case 'r':
        return CodePoints::of('\r', '\r');
      case 't':
        return CodePoints::of('\t', '\t');
      case 'f':
        return CodePoints::of('\f', '\f');
      case 'v':
        return CodePoints::of('\v', '\v');
      case 'x':
        if (skip('{')) {
          const auto value = hex(1, 6);
          if (!skip('}')) fail("\\x{ has no end");
          return one(value);
        }
        return one(hex(2, 2));
      case 'u':
        return one(hex(4, 4));
      default:
        break;
    }
    const bool is_letter = (code | 0x20) >= 'a' && (code | 0x20) <= 'z' && code < 0x80;
    if (is_letter || (code >= '0' && code <= '9')) {
      if (in_class && code == 'b') return CodePoints::of('\b', '\b');
      --at_;
      std::string shown;
      model::append_utf8(code, &shown);
      fail(fmt::format("\\{} is not supported", shown));
      return {};
    }
    return CodePoints::of(code, code);
  }

  CodePoints char_class() {
    ++at_;
    const bool negated = skip('^');
    CodePoints set;
    for (bool first = true; status_.ok(); first = false) {
      if (!more()) {
        fail("a [ without its ]");
        break;
      }
      if (peek() == ']' && !first) {
        ++at_;
        break;
      }
      bool single = false;
      const char32_t low = class_item(set, negated, &single);
      if (!single || peek() != '-' || peek(1) == ']' || peek(1) == 0) {
        if (single) set.add(low, low);
        continue;
      }
      ++at_;
      CodePoints ignored;
      bool ends_single = false;
      const char32_t high = class_item(ignored, negated, &ends_single);
      if (!ends_single || high < low) {
        fail("a range in [ ] is the wrong way round, or ends in a class");
        break;
      }
      set.add(low, high);
    }
    return negated ? set.complement() : set;
  }

  // A character, which is returned with *single, or a class, which is added.
  char32_t class_item(CodePoints& set, bool negated, bool* single) {
    if (peek() == '[' && peek(1) == ':') {
      std::string name;
      std::size_t end = at_ + 2;
      for (; end < text_.size() && text_[end] >= 'a' && text_[end] <= 'z'; ++end) {
        name.push_back(static_cast<char>(text_[end]));
      }
      const auto known = posix_class(name);
      if (known && end + 1 < text_.size() && text_[end] == ':' && text_[end + 1] == ']') {
        at_ = end + 2;
        set.add(*known);
        return 0;
      }
    }
    if (peek() == '\\') {
      const CodePoints escaped = escape(/*in_class=*/true, negated);
      const auto& ranges = escaped.ranges();
      *single = ranges.size() == 1 && ranges[0].first == ranges[0].second;
      if (*single) return ranges[0].first;
      set.add(escaped);
      return 0;
    }
    *single = true;
    return text_[at_++];
  }

  std::u32string text_;
  std::size_t at_ = 0;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<std::vector<RegexBranch>> parse_regex(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return absl::InvalidArgumentError(
        fmt::format("the regular expression has {} bytes, and at most {} are taken", pattern.size(),
                    kMaxPatternBytes));
  }
  if (!model::is_utf8(pattern)) {
    return absl::InvalidArgumentError("the regular expression is not UTF-8");
  }
  return Parser(pattern).parse();
}

}  // namespace shoal::client::constrain
