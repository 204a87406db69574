// SPDX-License-Identifier: Apache-2.0
#include "model/chat/format.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>

#include "model/chat/interpreter.h"
#include "model/chat/number.h"
#include "model/chat/print.h"
#include "model/chat/subscript.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

constexpr int kMaxWidth = 10'000;  // and digits: a template that asks for more is none

struct FieldStyle {
  std::string fill = " ";
  char align = '\0';  // '<', '>', '^' or '=' (sign, then fill)
  char sign = '-';
  bool alternate = false;
  char grouping = '\0';
  int width = 0;
  int precision = -1;
  char type = '\0';
};

[[noreturn]] void refuse_format(std::string_view what) {
  fail("cannot format: " + std::string(what));
}

int read_count(std::string_view text, std::size_t* at) {
  int value = 0;
  while (*at < text.size() && std::isdigit(static_cast<unsigned char>(text[*at]))) {
    value = value * 10 + (text[(*at)++] - '0');
    if (value > kMaxWidth) refuse_format("a width or precision above 10000");
  }
  return value;
}

std::string grouped(const std::string& digits, char separator) {
  std::string result;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) result.push_back(separator);
    result.push_back(digits[i]);
  }
  return result;
}

std::string digits_of(std::uint64_t value, int base) {
  char buffer[70];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, base);
  return std::string(buffer, end.ptr);
}

std::string with_case(std::string text, bool upper) {
  for (char& c : text) {
    if (upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return text;
}

struct SignedText {
  std::string sign;
  std::string body;
};

SignedText integer_text(std::int64_t value, const FieldStyle& style) {
  SignedText result;
  result.sign = value < 0 ? "-" : (style.sign == '-' ? "" : std::string(1, style.sign));
  const std::uint64_t size =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(style.type)));
  const int base = lower == 'x' ? 16 : (lower == 'o' ? 8 : (lower == 'b' ? 2 : 10));
  result.body = digits_of(size, base);
  if (style.precision > static_cast<int>(result.body.size())) {
    result.body.insert(0, static_cast<std::size_t>(style.precision) - result.body.size(), '0');
  }
  if (style.grouping != '\0') result.body = grouped(result.body, style.grouping);
  if (style.alternate && base != 10) result.sign += std::string("0") + lower;
  result.body = with_case(result.body, style.type == 'X');
  if (style.type == 'X') result.sign = with_case(result.sign, true);
  return result;
}

SignedText float_form(double value, const FieldStyle& style) {
  SignedText result;
  result.sign = std::signbit(value) && !std::isnan(value)
                    ? "-"
                    : (style.sign == '-' ? "" : std::string(1, style.sign));
  const double size = std::abs(value);
  const bool upper = std::isupper(static_cast<unsigned char>(style.type)) != 0;
  if (!std::isfinite(value)) {
    result.body = std::isnan(value) ? "nan" : "inf";
  } else if (style.type == '\0' && style.precision < 0) {
    result.body = float_text(size);
  } else {
    const char type =
        style.type == '\0' || style.type == '%' ? (style.type == '%' ? 'f' : 'g') : style.type;
    const std::string form = std::string("%") + (style.alternate ? "#" : "") + ".*" + type;
    const double shown = style.type == '%' ? size * 100 : size;
    const int precision = style.precision < 0 ? 6 : style.precision;
    std::string buffer(static_cast<std::size_t>(precision) + 400, '\0');
    const int length = std::snprintf(buffer.data(), buffer.size(), form.c_str(), precision, shown);
    result.body = buffer.substr(0, static_cast<std::size_t>(length));
    if (style.type == '%') result.body += "%";
  }
  if (style.grouping != '\0') {
    const std::size_t whole =
        std::min(result.body.find_first_not_of("0123456789"), result.body.size());
    result.body = grouped(result.body.substr(0, whole), style.grouping) + result.body.substr(whole);
  }
  result.body = with_case(result.body, upper);
  return result;
}

// sign and body with fill around, or between.
void append_padded(const std::string& sign, const Text& body, const FieldStyle& style,
                   char usual_align, TextBuilder* out) {
  const auto length = static_cast<std::int64_t>(sign.size() + body.length());
  const std::int64_t missing = std::max<std::int64_t>(0, style.width - length);
  const char align = style.align == '\0' ? usual_align : style.align;
  const std::int64_t before = align == '<' || align == '=' ? 0
                              : align == '^'               ? missing / 2
                                                           : missing;
  const std::int64_t between = align == '=' ? missing : 0;
  const auto pad = [&](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) out->append(style.fill, true);
  };
  pad(before);
  out->append(sign, true);
  pad(between);
  out->append(body);
  pad(missing - before - between);
}

void append_text_field(const Text& text, const FieldStyle& style, TextBuilder* out) {
  const std::size_t end = style.precision < 0
                              ? text.bytes().size()
                              : text.byte_of(static_cast<std::size_t>(style.precision));
  TextBuilder part(nullptr);
  part.append(text, 0, end);
  append_padded("", part.finish(), style, '<', out);
}

void append_number_field(const SignedText& number, const FieldStyle& style, TextBuilder* out) {
  append_padded(number.sign, Text(number.body, true, nullptr), style, '>', out);
}

// ---- "%"

class PercentFormat {
 public:
  PercentFormat(const Text& format, const Value& values, Budget& budget)
      : format_(format), values_(values), budget_(budget), out_(&budget) {}

  Text run() {
    const std::string_view bytes = format_.bytes();
    std::size_t copied = 0;
    while (true) {
      at_ = bytes.find('%', copied);
      if (at_ == std::string_view::npos) break;
      out_.append(format_, copied, at_);
      ++at_;
      conversion();
      copied = at_;
    }
    out_.append(format_, copied, bytes.size());
    if (values_.dict() == nullptr && !used_key_) {
      const Sequence* tuple = as_tuple();
      if (tuple != nullptr ? next_ < tuple->items.size() : next_ == 0) {
        fail("not all arguments converted during string formatting");
      }
    }
    return out_.finish();
  }

 private:
  const Sequence* as_tuple() const {
    const Sequence* sequence = values_.sequence();
    return sequence != nullptr && sequence->kind == Sequence::Kind::kTuple ? sequence : nullptr;
  }
  char peek() const { return at_ < format_.bytes().size() ? format_.bytes()[at_] : '\0'; }

  Value next_value() {
    const Sequence* tuple = as_tuple();
    const std::size_t count = tuple != nullptr ? tuple->items.size() : 1;
    if (next_ >= count) fail("not enough arguments for format string");
    ++next_;
    return tuple != nullptr ? tuple->items[next_ - 1] : values_;
  }

  int count_or_star() {
    if (peek() != '*') return read_count(format_.bytes(), &at_);
    ++at_;
    const std::optional<std::int64_t> value = next_value().as_integer();
    if (!value || *value < 0 || *value > kMaxWidth) refuse_format("* wants a small integer");
    return static_cast<int>(*value);
  }

  void conversion() {
    FieldStyle style;
    std::optional<Value> value;
    if (peek() == '(') {
      const std::size_t end = format_.bytes().find(')', at_);
      if (end == std::string_view::npos) fail("incomplete format key");
      if (values_.dict() == nullptr) fail("format requires a mapping");
      const std::string_view key = format_.bytes().substr(at_ + 1, end - at_ - 1);
      const Value* found = values_.dict()->find(key);
      if (found == nullptr) fail("no value for the key '" + std::string(key) + "'");
      value = *found;
      used_key_ = true;
      at_ = end + 1;
    }
    for (bool is_flag = true; is_flag;) {
      switch (peek()) {
        case '-':
          style.align = '<';
          break;
        case '0':
          if (style.align == '\0') {
            style.align = '=';
            style.fill = "0";
          }
          break;
        case '+':
          style.sign = '+';
          break;
        case ' ':
          if (style.sign == '-') style.sign = ' ';
          break;
        case '#':
          style.alternate = true;
          break;
        default:
          is_flag = false;
      }
      if (is_flag) ++at_;
    }
    style.width = count_or_star();
    if (peek() == '.') {
      ++at_;
      style.precision = count_or_star();
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    style.type = peek();
    if (style.type == '\0') fail("incomplete format");
    ++at_;
    if (style.type == '%') return out_.append("%", true);
    convert(value ? *value : next_value(), style);
  }

  void convert(const Value& value, FieldStyle style) {
    switch (style.type) {
      case 's':
      case 'r': {
        TextBuilder text(&budget_);
        style.type == 's' ? append_text(value, &text, budget_) : append_repr(value, &text, budget_);
        if (style.align == '=' || style.align == '\0') style.align = '>';
        style.fill = " ";
        return append_text_field(text.finish(), style, &out_);
      }
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        std::optional<std::int64_t> integer = value.as_integer();
        const bool decimal = style.type == 'd' || style.type == 'i' || style.type == 'u';
        if (!integer && value.is_float() && decimal) integer = whole_part(*value.as_double());
        if (!integer)
          fail(std::string("%") + style.type + " format: a number is required, not " +
               value.type_name());
        return append_number_field(integer_text(*integer, style), style, &out_);
      }
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        const std::optional<double> number = value.as_double();
        if (!number) fail(std::string("must be real number, not ") + value.type_name());
        return append_number_field(float_form(*number, style), style, &out_);
      }
      case 'c':
        if (value.text() != nullptr && value.text()->length() == 1) {
          style.align = style.align == '<' ? '<' : '>';
          return append_text_field(*value.text(), style, &out_);
        }
        fail("%c requires one character");
      default:
        fail(std::string("unsupported format character '") + style.type + "'");
    }
  }

  const Text& format_;
  const Value& values_;
  Budget& budget_;
  TextBuilder out_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  bool used_key_ = false;
};

// ---- "{}"

FieldStyle style_of(std::string_view text) {
  FieldStyle style;
  std::size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  std::size_t second = 0;
  if (!text.empty()) next_code(text, &second);
  if (second > 0 && second < text.size() && is_align(text[second])) {
    style.fill = std::string(text.substr(0, second));
    style.align = text[second];
    at = second + 1;
  } else if (is_align(peek())) {
    style.align = text[at++];
  }
  if (peek() == '+' || peek() == '-' || peek() == ' ') style.sign = text[at++];
  if (peek() == '#') style.alternate = text[at++] == '#';
  if (peek() == '0') {
    ++at;
    if (style.align == '\0') {
      style.align = '=';
      style.fill = "0";
    }
  }
  style.width = read_count(text, &at);
  if (peek() == ',' || peek() == '_') style.grouping = text[at++];
  if (peek() == '.') {
    ++at;
    if (!std::isdigit(static_cast<unsigned char>(peek())))
      fail("Format specifier missing precision");
    style.precision = read_count(text, &at);
  }
  if (at < text.size()) style.type = text[at++];
  if (at != text.size()) fail("Invalid format specifier");
  return style;
}

class BraceFormat {
 public:
  BraceFormat(Interpreter& interpreter, const Text& format, const Arguments& arguments)
      : interpreter_(interpreter),
        format_(format),
        arguments_(arguments),
        out_(&interpreter.budget()) {}

  Text run() {
    const std::string_view bytes = format_.bytes();
    std::size_t at = 0;
    while (at < bytes.size()) {
      const std::size_t brace = bytes.find_first_of("{}", at);
      if (brace == std::string_view::npos) break;
      out_.append(format_, at, brace);
      if (brace + 1 < bytes.size() && bytes[brace + 1] == bytes[brace]) {
        out_.append(format_, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      if (bytes[brace] == '}') fail("Single '}' encountered in format string");
      const std::size_t end = bytes.find('}', brace);
      if (end == std::string_view::npos) fail("expected '}' before end of string");
      field(bytes.substr(brace + 1, end - brace - 1));
      at = end + 1;
    }
    out_.append(format_, at, bytes.size());
    return out_.finish();
  }

 private:
  void field(std::string_view text) {
    if (text.find('{') != std::string_view::npos) {
      refuse_format("fields within fields are not supported");
    }
    const std::size_t colon = std::min(text.find(':'), text.size());
    const std::string_view spec = colon < text.size() ? text.substr(colon + 1) : "";
    std::string_view name = text.substr(0, colon);
    char conversion = '\0';
    const std::size_t mark = name.find('!');
    if (mark != std::string_view::npos) {
      if (mark + 2 != name.size()) fail("expected ':' after conversion specifier");
      conversion = name[mark + 1];
      name = name.substr(0, mark);
    }
    Value value = look_up(name);
    if (conversion == 's' || conversion == 'r') {
      TextBuilder shown(&interpreter_.budget());
      conversion == 's' ? append_text(value, &shown, interpreter_.budget())
                        : append_repr(value, &shown, interpreter_.budget());
      value = Value(shown.finish());
    } else if (conversion != '\0') {
      fail(std::string("Unknown conversion specifier '") + conversion + "'");
    }
    write(value, spec);
  }

  Value look_up(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = first(name.substr(0, end));
    std::size_t at = end;
    while (at < name.size()) {
      if (name[at] == '.') {
        const std::size_t next = std::min(name.find_first_of(".[", at + 1), name.size());
        value = attribute_of(interpreter_, value, name.substr(at + 1, next - at - 1));
        at = next;
        continue;
      }
      const std::size_t close = name[at] == '[' ? name.find(']', at) : std::string_view::npos;
      if (close == std::string_view::npos) fail("Missing ']' in format string");
      const std::string_view key = name.substr(at + 1, close - at - 1);
      const bool is_number = !key.empty() && key.find_first_not_of("0123456789") == key.npos;
      value = item_of(interpreter_, value,
                      is_number ? Value(read_integer(key, 10).value_or(0))
                                : Value(Text(std::string(key), true, &interpreter_.budget())));
      at = close + 1;
    }
    return value;
  }

  Value first(std::string_view name) {
    std::size_t index = 0;
    if (name.empty()) {
      index = next_++;
    } else if (name.find_first_not_of("0123456789") == std::string_view::npos) {
      std::size_t at = 0;
      index = static_cast<std::size_t>(read_count(name, &at));
    } else {
      for (const auto& [given, value] : arguments_.named) {
        if (given == name) return value;
      }
      fail("no value for the name '" + std::string(name) + "'");
    }
    if (index >= arguments_.positional.size()) {
      fail("Replacement index " + std::to_string(index) +
           " out of range for positional args tuple");
    }
    return arguments_.positional[index];
  }

  void write(const Value& value, std::string_view spec) {
    if (spec.empty()) return append_text(value, &out_, interpreter_.budget());
    const FieldStyle style = style_of(spec);
    if (const Text* text = value.text()) {
      if (style.type != '\0' && style.type != 's') refuse_code(style, value);
      return append_text_field(*text, style, &out_);
    }
    const bool as_float = style.type != '\0' &&
                          std::string_view("eEfFgG%").find(style.type) != std::string_view::npos;
    if (value.is_number() && (value.is_float() || as_float)) {
      if (!as_float && style.type != '\0') refuse_code(style, value);
      FieldStyle own = style;
      return append_number_field(float_form(*value.as_double(), own), own, &out_);
    }
    if (value.is_integer() || value.is_bool()) {
      if (style.type != '\0' &&
          std::string_view("dxXob").find(style.type) == std::string_view::npos)
        refuse_code(style, value);
      if (style.precision >= 0) fail("Precision not allowed in integer format specifier");
      return append_number_field(integer_text(*value.as_integer(), style), style, &out_);
    }
    fail(std::string("unsupported format string passed to ") + value.type_name() + ".__format__");
  }

  [[noreturn]] static void refuse_code(const FieldStyle& style, const Value& value) {
    fail(std::string("Unknown format code '") + style.type + "' for object of type '" +
         value.type_name() + "'");
  }

  Interpreter& interpreter_;
  const Text& format_;
  const Arguments& arguments_;
  TextBuilder out_;
  std::size_t next_ = 0;
};

}  // namespace

Text percent_format(const Text& format, const Value& values, Budget& budget) {
  return PercentFormat(format, values, budget).run();
}

Text brace_format(Interpreter& interpreter, const Text& format, const Arguments& arguments) {
  return BraceFormat(interpreter, format, arguments).run();
}

}  // namespace shoal::model::chat
