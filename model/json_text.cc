// SPDX-License-Identifier: Apache-2.0
#include "model/json_text.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <limits>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "model/file_kind.h"
#include "model/json_fields.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

// What stands for a number that JSON itself cannot write, until the text is parsed. A control
// character may not stand in a string of JSON unescaped, and nobody escapes this one.
constexpr const char* kMark = "\\u0001";
constexpr char kMarkByte = '\x01';

struct Special {
  std::string_view name;
  double value;
};
const Special kSpecials[] = {{"NaN", std::numeric_limits<double>::quiet_NaN()},
                             {"Infinity", std::numeric_limits<double>::infinity()},
                             {"-Infinity", -std::numeric_limits<double>::infinity()}};

const Special* special(std::string_view name) {
  for (const Special& candidate : kSpecials) {
    if (candidate.name == name) return &candidate;
  }
  return nullptr;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '+' || c == '.';
}

// A number beyond the range of double is infinite for Python.
const Special* overflown(const std::string& word) {
  if (word.find_first_not_of("0123456789+-.eE") != std::string::npos) return nullptr;
  if (word.find_first_of("eE") == std::string::npos && word.size() < 300) return nullptr;
  const double value = std::strtod(word.c_str(), nullptr);
  return std::isinf(value) ? special(value > 0 ? "Infinity" : "-Infinity") : nullptr;
}

// The text with every special number as a marked string. Numbers are outside of strings.
std::string with_marks(const std::string& text) {
  std::string result;
  std::size_t copied = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (in_string) {
      if (text[i] == '\\')
        ++i;
      else if (text[i] == '"')
        in_string = false;
      continue;
    }
    if (text[i] == '"') {
      in_string = true;
      continue;
    }
    if (!is_word(text[i])) continue;
    std::size_t end = i;
    while (end < text.size() && is_word(text[end])) ++end;
    const std::string word = text.substr(i, end - i);
    const Special* value = special(word);
    if (value == nullptr) value = overflown(word);
    if (value != nullptr) {
      result.append(text, copied, i - copied);
      absl::StrAppend(&result, "\"", kMark, std::string(value->name), "\"");
      copied = end;
    }
    i = end - 1;
  }
  if (copied == 0) return text;
  return result.append(text, copied, std::string::npos);
}

template <typename Json>
void resolve_marks(Json& value) {
  if (value.is_string()) {
    const std::string& text = value.template get_ref<const std::string&>();
    if (text.empty() || text[0] != kMarkByte) return;
    if (const Special* found = special(std::string_view(text).substr(1))) value = found->value;
    return;
  }
  if (!value.is_structured()) return;
  if (value.is_object() && value.size() == 1 && value.begin().key() == "__float__" &&
      value.begin()->is_string()) {
    const std::string& text = value.begin()->template get_ref<const std::string&>();
    if (const Special* found = special(text)) {
      value = found->value;
      return;
    }
  }
  for (auto& part : value) resolve_marks(part);
}

// What is wrong with a text that is no JSON at all; empty when only a parser can tell.
std::string obvious_fault(const std::string& text) {
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; })) {
    return "is empty, not JSON; fetch the file again";
  }
  if (text.find_first_not_of('\0') == std::string::npos) {
    return "is nothing but zero bytes, not JSON; fetch the file again";
  }
  const std::string kind = foreign_kind(text);
  if (!kind.empty()) return absl::StrCat("is ", kind, " (JSON is expected)");
  if (!is_utf8(text)) {
    std::size_t line = 1;
    std::size_t begin = 0;
    // By lines, so that the message can say where.
    while (begin < text.size()) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      if (!is_utf8(std::string_view(text).substr(begin, end - begin))) break;
      begin = end + 1;
      ++line;
    }
    return absl::StrCat("not JSON: line ", line, " is not UTF-8; save the file as UTF-8");
  }
  return "";
}

// nlohmann's "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error ...".
std::string parser_fault(std::string message, const std::string& text) {
  const std::size_t at = message.find(" at line ");
  if (at != std::string::npos) message.erase(0, at + 4);
  std::replace_if(
      message.begin(), message.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; },
      ' ');
  constexpr std::size_t kMaxBytes = 160;
  if (message.size() > kMaxBytes) message = message.substr(0, kMaxBytes) + "...";
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  if (last != std::string::npos && text[last] != '}' && text[last] != ']') {
    message += "; the end seems to be missing: fetch the file again";
  } else if (message.find("unexpected '}'; expected string literal") != std::string::npos ||
             message.find("unexpected ']'; expected") != std::string::npos) {
    message += "; is there a comma too many before it?";
  }
  return message;
}

template <typename Json>
absl::StatusOr<Json> parse(const std::string& text, const std::string& where) {
  const auto refuse = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", why));
  };
  const std::string fault = obvious_fault(text);
  if (!fault.empty()) return refuse(fault);
  if (!has_bounded_shape(text, kMaxJsonTextDepth, std::numeric_limits<std::size_t>::max())) {
    return refuse(absl::StrCat("JSON nested more than ", kMaxJsonTextDepth, " deep"));
  }
  const std::string marked = with_marks(text);
  Json value;
  try {
    value = Json::parse(marked);
  } catch (const std::exception& error) {  // exceptions do not leave the room
    return refuse(absl::StrCat("not JSON: ", parser_fault(error.what(), text)));
  }
  if (!value.is_object()) {
    return refuse(absl::StrCat("a JSON object is expected, not ", json_excerpt(value)));
  }
  resolve_marks(value);
  return value;
}

}  // namespace

absl::StatusOr<nlohmann::json> parse_json_object(const std::string& text,
                                                 const std::string& where) {
  return parse<nlohmann::json>(text, where);
}

absl::StatusOr<nlohmann::ordered_json> parse_ordered_object(const std::string& text,
                                                            const std::string& where) {
  return parse<nlohmann::ordered_json>(text, where);
}

}  // namespace shoal::model
