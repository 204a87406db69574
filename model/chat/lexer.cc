// SPDX-License-Identifier: Apache-2.0
#include "model/chat/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "model/chat/characters.h"
#include "model/chat/escapes.h"
#include "model/chat/number.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

// \r\n and \r are \n; one at the very end is none.
std::string with_plain_newlines(std::string_view source) {
  std::string result;
  result.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      result.push_back(source[i]);
      continue;
    }
    result.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

bool is_ascii_digit_of(char c, int base) {
  if (c >= '0' && c <= '9') return c - '0' < base;
  const int letter = std::tolower(static_cast<unsigned char>(c));
  return base == 16 && letter >= 'a' && letter <= 'f';
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_root();
    add(Token::Kind::kEnd, at_, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool starts(std::string_view text) const { return rest().substr(0, text.size()) == text; }
  bool starts_at(std::size_t at, std::string_view text) const {
    return std::string_view(source_).substr(at, text.size()) == text;
  }
  // Behind the blanks at `at`.
  std::size_t after_blanks(std::size_t at) const {
    while (at < source_.size()) {
      std::size_t next = at;
      if (!is_blank(next_code(source_, &next))) break;
      at = next;
    }
    return at;
  }

  // Positions are asked for in order, so that counting lines is linear.
  Place place_of(std::size_t at) {
    for (; counted_ < at; ++counted_) {
      const auto byte = static_cast<unsigned char>(source_[counted_]);
      if (byte == '\n') {
        ++place_.line;
        place_.column = 1;
      } else if ((byte & 0xC0) != 0x80) {
        ++place_.column;
      }
    }
    return place_;
  }

  Token& add(Token::Kind kind, std::size_t at, std::string text) {
    Token token;
    token.kind = kind;
    token.text = std::move(text);
    token.place = place_of(at);
    tokens_.push_back(std::move(token));
    return tokens_.back();
  }

  [[noreturn]] void refuse(std::size_t at, const std::string& message) {
    throw TemplateError(TemplateError::Kind::kSyntax, message, place_of(at));
  }

  // Moves on; what was passed ends a line or not, which lstrip_blocks asks.
  void move_to(std::size_t at) {
    if (at > at_) line_starts_ = source_[at - 1] == '\n';
    at_ = at;
  }

  // Text before a tag whose '{' is at `tag` and whose sign, if any, is behind its two characters.
  void add_data(std::size_t begin, std::size_t tag, bool is_variable) {
    std::string_view data = std::string_view(source_).substr(begin, tag - begin);
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign == '-') {
      data = data.substr(0, end_without_blanks(data));
    } else if (sign != '+' && !is_variable) {
      const std::size_t line = data.rfind('\n') + 1;  // npos + 1 is 0
      if (line > 0 || line_starts_) {
        if (end_without_blanks(data) <= line) data = data.substr(0, line);
      }
    }
    if (!data.empty()) add(Token::Kind::kData, begin, std::string(data));
  }

  static std::size_t end_without_blanks(std::string_view data) {
    std::size_t end = data.size();
    while (end > 0) {
      std::size_t before = end;
      if (!is_blank(previous_code(data, &before))) break;
      end = before;
    }
    return end;
  }

  void read_root() {
    std::size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        add(Token::Kind::kData, at_, source_.substr(at_));
        return move_to(source_.size());
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char kind = source_[tag + 1];
    add_data(at_, tag, kind == '{');
    std::size_t inside = tag + 2;
    if (inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+')) ++inside;
    if (kind == '#') return read_comment(tag, inside);
    if (kind == '%') {
      const std::size_t raw = end_of_raw_tag(inside, "raw");
      if (raw != kNowhere) return read_raw(tag, raw);
    }
    add(kind == '%' ? Token::Kind::kBlockBegin : Token::Kind::kVariableBegin, tag, "");
    move_to(inside);
    read_tag(kind == '%');
  }

  // Behind "NAME -%}" and its blanks, or "NAME %}", that begins at `at`; nowhere if it does not.
  std::size_t end_of_raw_tag(std::size_t at, std::string_view name) const {
    at = after_blanks(at);
    if (!starts_at(at, name)) return kNowhere;
    at = after_blanks(at + name.size());
    if (starts_at(at, "-%}")) return after_blanks(at + 3);
    if (starts_at(at, "%}")) return at + 2;
    return kNowhere;
  }

  void read_comment(std::size_t tag, std::size_t inside) {
    const std::size_t end = source_.find("#}", inside);
    if (end == std::string::npos) refuse(tag, "this comment does not end: {# without #}");
    // "{#-#}" is a comment that is empty: its minus cannot be that of the end too.
    const char sign = end > inside ? source_[end - 1] : '\0';
    move_to(end_of_tag(end + 2, sign));
  }

  // Behind a tag that ended before `at`, with this sign before its end.
  std::size_t end_of_tag(std::size_t at, char sign) const {
    if (sign == '-') return after_blanks(at);
    return sign != '+' && at < source_.size() && source_[at] == '\n' ? at + 1 : at;
  }

  void read_raw(std::size_t tag, std::size_t begin) {
    move_to(begin);
    for (std::size_t end = begin;; ++end) {
      end = source_.find("{%", end);
      if (end == std::string::npos)
        refuse(tag, "this raw block does not end: {% endraw %} is missing");
      std::size_t inside = end + 2;
      if (inside < source_.size() && (source_[inside] == '-' || source_[inside] == '+')) ++inside;
      std::size_t at = after_blanks(inside);
      if (!starts_at(at, "endraw")) continue;
      at = after_blanks(at + 6);
      const char sign = at < source_.size() ? source_[at] : '\0';
      if (sign == '-' || sign == '+') ++at;
      if (!starts_at(at, "%}")) continue;
      add_data(begin, end, false);
      return move_to(end_of_tag(at + 2, sign));
    }
  }

  void read_tag(bool is_block) {
    const std::size_t tag = at_;
    brackets_.clear();
    while (at_ < source_.size()) {
      if (brackets_.empty() && read_end(is_block)) return;
      const std::size_t blanks = after_blanks(at_);
      if (blanks > at_) {
        move_to(blanks);
        continue;
      }
      read_token();
    }
    refuse(std::max(tag, counted_), is_block ? "this tag does not end: %} is missing"
                                             : "this expression does not end: }} is missing");
  }

  bool read_end(bool is_block) {
    const std::string_view end = is_block ? "%}" : "}}";
    const char sign = rest().front();
    const bool has_sign = sign == '-' || (is_block && sign == '+');
    if (!starts_at(at_ + (has_sign ? 1 : 0), end)) return false;
    add(is_block ? Token::Kind::kBlockEnd : Token::Kind::kVariableEnd, at_, "");
    const std::size_t after = at_ + (has_sign ? 3 : 2);
    if (is_block) {
      move_to(end_of_tag(after, has_sign ? sign : '\0'));
    } else {
      move_to(has_sign ? after_blanks(after) : after);
    }
    return true;
  }

  void read_token() {
    const char c = source_[at_];
    if (c >= '0' && c <= '9') return read_number();
    std::size_t next = at_;
    if (c == '_' || is_word(next_code(source_, &next))) return read_name();
    if (c == '\'' || c == '"') return read_string(c);
    read_operator();
  }

  std::size_t digits_from(std::size_t at, int base) const {  // with single underscores between
    while (at < source_.size()) {
      if (is_ascii_digit_of(source_[at], base)) {
        ++at;
      } else if (source_[at] == '_' && at + 1 < source_.size() &&
                 is_ascii_digit_of(source_[at + 1], base)) {
        at += 2;
      } else {
        break;
      }
    }
    return at;
  }

  std::size_t end_of_float() const {  // at_ if there is none
    if (at_ > 0 && source_[at_ - 1] == '.') return at_;
    const std::size_t whole = digits_from(at_, 10);
    std::size_t end = whole;
    if (end + 1 < source_.size() && source_[end] == '.' && is_ascii_digit_of(source_[end + 1], 10))
      end = digits_from(end + 1, 10);
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      std::size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '-' || source_[exponent] == '+'))
        ++exponent;
      if (exponent < source_.size() && is_ascii_digit_of(source_[exponent], 10))
        return digits_from(exponent, 10);
    }
    return end > whole ? end : at_;
  }

  void read_number() {
    const std::size_t begin = at_;
    const auto words = [&](std::size_t end) {
      std::string text = source_.substr(begin, end - begin);
      text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
      return text;
    };
    if (const std::size_t end = end_of_float(); end > begin) {
      add(Token::Kind::kFloat, begin, words(end)).number = read_float(words(end)).value_or(0);
      return move_to(end);
    }
    std::size_t end = begin;
    const char letter =
        begin + 1 < source_.size()
            ? static_cast<char>(std::tolower(static_cast<unsigned char>(source_[begin + 1])))
            : '\0';
    const int base = letter == 'x' ? 16 : (letter == 'o' ? 8 : (letter == 'b' ? 2 : 10));
    if (source_[begin] == '0' && base != 10 && digits_from(begin + 2, base) > begin + 2) {
      end = digits_from(begin + 2, base);
    } else if (source_[begin] == '0') {
      end = begin + 1;
      while (end < source_.size() && source_[end] == '0') ++end;
    } else {
      end = digits_from(begin, 10);
    }
    const Place place = place_of(begin);
    try {
      add(Token::Kind::kInteger, begin, words(end)).integer =
          read_integer(words(end), 0).value_or(0);
    } catch (TemplateError& error) {
      error.place = place;
      throw;
    }
    move_to(end);
  }

  void read_name() {
    const std::size_t begin = at_;
    std::size_t end = at_;
    while (end < source_.size()) {
      std::size_t next = end;
      if (!is_word(next_code(source_, &next))) break;
      end = next;
    }
    add(Token::Kind::kName, begin, source_.substr(begin, end - begin));
    move_to(end);
  }

  void read_string(char quote) {
    const std::size_t begin = at_;
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) refuse(begin, "this string does not end");
    std::string why;
    std::string text;
    if (!unescape(std::string_view(source_).substr(begin + 1, end - begin - 1), &text, &why)) {
      refuse(begin, why);
    }
    add(Token::Kind::kString, begin, std::move(text));
    move_to(end + 1);
  }

  void read_operator() {
    static constexpr std::array<std::string_view, 25> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};
    for (const std::string_view candidate : kOperators) {
      if (!starts(candidate)) continue;
      balance(candidate.front());
      add(Token::Kind::kOperator, at_, std::string(candidate));
      return move_to(at_ + candidate.size());
    }
    std::size_t next = at_;
    next_code(source_, &next);
    refuse(at_, "unexpected " + in_quotes(source_.substr(at_, next - at_)) + " in a tag");
  }

  void balance(char c) {
    if (c == '{' || c == '(' || c == '[') {
      brackets_.push_back(c == '{' ? '}' : (c == '(' ? ')' : ']'));
    } else if (c == '}' || c == ')' || c == ']') {
      if (brackets_.empty()) refuse(at_, std::string("unexpected '") + c + "'");
      if (brackets_.back() != c) {
        refuse(at_, std::string("unexpected '") + c + "', expected '" + brackets_.back() + "'");
      }
      brackets_.pop_back();
    }
  }

  std::string source_;
  std::size_t at_ = 0;
  bool line_starts_ = true;
  std::string brackets_;  // those that must close
  std::vector<Token> tokens_;
  Place place_{1, 1};
  std::size_t counted_ = 0;  // bytes that place_ has counted
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source) {
  return Lexer(with_plain_newlines(source)).run();
}

}  // namespace shoal::model::chat
