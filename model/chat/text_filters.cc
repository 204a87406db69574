// SPDX-License-Identifier: Apache-2.0
// Filters on strings; what is none is printed first, as soft_str of the reference does.
#include <algorithm>
#include <string>
#include <utility>

#include "model/chat/arguments.h"
#include "model/chat/compare.h"
#include "model/chat/filters.h"
#include "model/chat/format.h"
#include "model/chat/interpreter.h"
#include "model/chat/print.h"
#include "model/chat/text_operations.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

template <Case wanted>
Value case_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("upper", std::move(arguments), {});
  return Value(in_case(to_text(value, run.budget()), wanted, run.budget()));
}

Value capitalize_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("capitalize", std::move(arguments), {});
  return Value(capitalized(to_text(value, run.budget()), run.budget()));
}

bool begins_word(char32_t code) {  // [-\s({\[<]
  return code == '-' || code == '(' || code == '{' || code == '[' || code == '<' || is_blank(code);
}

Value title_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("title", std::move(arguments), {});
  const Text text = to_text(value, run.budget());
  TextBuilder out(&run.budget());
  const std::string_view bytes = text.bytes();
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;  // of a run that begins words, or of a word
    const bool kind = begins_word(next_code(bytes, &at));
    const std::size_t second = at;
    while (at < bytes.size()) {
      std::size_t next = at;
      if (begins_word(next_code(bytes, &next)) != kind) break;
      at = next;
    }
    out.append(in_case(part_of(text, begin, second, run.budget()), Case::kUpper, run.budget()));
    out.append(in_case(part_of(text, second, at, run.budget()), Case::kLower, run.budget()));
  }
  return Value(out.finish());
}

Value trim_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("trim", std::move(arguments), {"chars"});
  return Value(stripped(to_text(value, run.budget()), Side::kBoth,
                        bound.has_text(0) ? &bound.text(0) : nullptr, run.budget()));
}

Value replace_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("replace", std::move(arguments), {"old", "new", "count"}, 2);
  const bool limited = bound.has(2) && !bound[2].is_none();
  return Value(replaced(to_text(value, run.budget()), to_text(bound[0], run.budget()),
                        to_text(bound[1], run.budget()), limited ? bound.integer(2, -1) : -1,
                        run.budget()));
}

Value string_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("string", std::move(arguments), {});
  return Value(to_text(value, run.budget()));
}

Value escape_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("escape", std::move(arguments), {});
  const Text text = to_text(value, run.budget());
  TextBuilder out(&run.budget());
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.bytes().size(); ++at) {
    const char c = text.bytes()[at];
    const char* entity = c == '&'    ? "&amp;"
                         : c == '<'  ? "&lt;"
                         : c == '>'  ? "&gt;"
                         : c == '\'' ? "&#39;"
                         : c == '"'  ? "&#34;"
                                     : nullptr;
    if (entity == nullptr) continue;
    out.append(text, copied, at);
    out.append(entity, text.is_trusted_at(at));
    copied = at + 1;
  }
  out.append(text, copied, text.bytes().size());
  return Value(out.finish());
}

Value indent_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("indent", std::move(arguments), {"width", "first", "blank"});
  const Text* text = value.text();
  if (text == nullptr) {
    fail(value.is_undefined() ? value.undefined_message()
                              : std::string("indent needs a string, not ") + value.type_name());
  }
  Budget& budget = run.budget();
  Text indention;
  if (bound.has(0) && bound[0].text() != nullptr) {
    indention = *bound[0].text();
  } else {
    indention = padded(Text(), 0, bound.integer(0, 4), Text(" ", true, nullptr), budget);
  }
  const bool blank = bound.truth(2, false);
  TextBuilder with_end(&budget);
  with_end.append(*text);
  with_end.append("\n", true);
  TextBuilder out(&budget);
  if (bound.truth(1, false)) out.append(indention);
  bool is_first = true;
  for (const Text& line : split_lines(with_end.finish(), false, budget)) {
    if (!is_first) {
      out.append("\n", true);
      if (blank || !line.empty()) out.append(indention);
    }
    is_first = false;
    out.append(line);
  }
  return Value(out.finish());
}

Value format_filter(Interpreter& run, const Value& value, Arguments arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    fail("can't handle positional and keyword arguments at the same time");
  }
  Budget& budget = run.budget();
  const Text text = to_text(value, budget);
  if (arguments.named.empty()) {
    return Value(
        percent_format(text, Value::tuple(std::move(arguments.positional), &budget), budget));
  }
  auto dict = std::make_shared<Dict>(&budget);
  for (auto& [name, item] : arguments.named) {
    dict->set(Value(Text(name, true, &budget)), std::move(item));
  }
  return Value(percent_format(text, Value(std::shared_ptr<const Dict>(std::move(dict))), budget));
}

Value center_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("center", std::move(arguments), {"width"});
  const Text text = to_text(value, run.budget());
  const std::int64_t width = bound.integer(0, 80);
  const auto length = static_cast<std::int64_t>(text.length());
  if (width <= length) return Value(text);
  const std::int64_t missing = width - length;
  const std::int64_t left = missing / 2 + (missing & width & 1);
  return Value(padded(text, left, missing - left, Text(" ", true, nullptr), run.budget()));
}

Value truncate_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("truncate", std::move(arguments), {"length", "killwords", "end", "leeway"});
  const Text text = to_text(value, run.budget());
  const std::int64_t length = bound.integer(0, 255);
  const Text end = bound.has(2) ? bound.text(2) : Text("...", true, nullptr);
  const std::int64_t leeway = bound.has(3) && !bound[3].is_none() ? bound.integer(3, 5) : 5;
  const auto end_length = static_cast<std::int64_t>(end.length());
  if (length < end_length) fail("truncate: length is shorter than end");
  if (leeway < 0) fail("truncate: expected leeway >= 0");
  // No text is as long as half of all numbers.
  if (static_cast<std::int64_t>(text.length()) - leeway <= length) return Value(text);
  const std::size_t cut = text.byte_of(static_cast<std::size_t>(length - end_length));
  std::size_t stop = cut;
  if (!bound.truth(1, false)) {
    const std::size_t blank = text.bytes().substr(0, cut).rfind(' ');
    if (blank != std::string_view::npos) stop = blank;
  }
  TextBuilder out(&run.budget());
  out.append(text, 0, stop);
  out.append(end);
  return Value(out.finish());
}

Value word_count_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("wordcount", std::move(arguments), {});
  const Text text = to_text(value, run.budget());
  std::int64_t count = 0;
  bool in_word = false;
  for_each_code(text, [&](char32_t code, std::size_t, std::size_t) {
    const bool of_word = code == '_' || is_letter(code) || is_numeric(code) || is_digit(code);
    count += of_word && !in_word ? 1 : 0;
    in_word = of_word;
  });
  return Value(count);
}

Value url_encode_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("urlencode", std::move(arguments), {});
  if (value.text() == nullptr && is_iterable(value)) fail("urlencode takes a string here");
  const Text text = to_text(value, run.budget());
  TextBuilder out(&run.budget());
  for (std::size_t i = 0; i < text.bytes().size(); ++i) {
    const char c = text.bytes()[i];
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '.' || c == '-' || c == '~' || c == '/';
    if (plain) {
      out.append(text, i, i + 1);
    } else {
      static constexpr char kHex[] = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      const char escaped[] = {'%', kHex[byte >> 4], kHex[byte & 15]};
      out.append(std::string_view(escaped, 3), text.is_trusted_at(i));
    }
  }
  return Value(out.finish());
}

}  // namespace

const FilterTable& text_filters() {
  static const FilterTable kFilters = {
      {"upper", case_filter<Case::kUpper>},
      {"lower", case_filter<Case::kLower>},
      {"capitalize", capitalize_filter},
      {"title", title_filter},
      {"trim", trim_filter},
      {"replace", replace_filter},
      {"string", string_filter},
      {"safe", string_filter},
      {"escape", escape_filter},
      {"e", escape_filter},
      {"forceescape", escape_filter},
      {"indent", indent_filter},
      {"format", format_filter},
      {"center", center_filter},
      {"truncate", truncate_filter},
      {"wordcount", word_count_filter},
      {"urlencode", url_encode_filter},
  };
  return kFilters;
}

}  // namespace shoal::model::chat
