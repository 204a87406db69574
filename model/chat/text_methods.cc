// SPDX-License-Identifier: Apache-2.0
// The methods of strings.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "model/chat/arguments.h"
#include "model/chat/compare.h"
#include "model/chat/format.h"
#include "model/chat/interpreter.h"
#include "model/chat/print.h"
#include "model/chat/subscript.h"
#include "model/chat/text_operations.h"

namespace shoal::model::chat {
namespace {

using TextMethod = Value (*)(Interpreter&, const Text&, Arguments);

Value list_of(std::vector<Text> texts, Budget& budget) {
  Items items;
  for (Text& text : texts) items.emplace_back(std::move(text));
  return Value::list(std::move(items), &budget);
}

template <Side side>
Value strip_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("strip", std::move(arguments), {"/chars"});
  return Value(stripped(text, side, bound.has_text(0) ? &bound.text(0) : nullptr, run.budget()));
}

template <bool from_right>
Value split_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("split", std::move(arguments), {"sep", "maxsplit"});
  const Text* separator = bound.has_text(0) ? &bound.text(0) : nullptr;
  return list_of(split(text, separator, bound.integer(1, -1), from_right, run.budget()),
                 run.budget());
}

// The part of the text that a begin and an end, which may be given, leave: in bytes.
ByteRange window(const Text& text, const Bound& bound, std::size_t first) {
  const auto size = static_cast<std::int64_t>(text.length());
  const auto place = [&](std::size_t index, std::int64_t fallback) {
    if (!bound.has(index) || bound[index].is_none()) return fallback;
    const std::int64_t given = bound.integer(index, 0);
    return given < 0 ? std::max<std::int64_t>(0, given + size) : given;
  };
  const std::int64_t begin = place(first, 0);
  const std::int64_t end = std::min(place(first + 1, size), size);
  if (begin > size || begin > end) return {1, 0};  // nothing is found there, not even nothing
  return {text.byte_of(static_cast<std::size_t>(begin)),
          text.byte_of(static_cast<std::size_t>(end))};
}

template <bool at_end>
Value affix_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound(at_end ? "endswith" : "startswith", std::move(arguments),
                    {"/prefix", "/start", "/end"}, 1);
  const ByteRange range = window(text, bound, 1);
  if (range.begin > range.end) return Value(false);
  const std::string_view part = text.bytes().substr(range.begin, range.end - range.begin);
  const auto matches = [&](const Value& affix) {
    const Text* wanted = affix.text();
    if (wanted == nullptr) {
      fail(std::string(at_end ? "endswith" : "startswith") +
           " first arg must be str or a tuple of str, not " + affix.type_name());
    }
    run.budget().spend(1 + wanted->bytes().size() / 64);
    return at_end ? part.ends_with(wanted->bytes()) : part.starts_with(wanted->bytes());
  };
  const Sequence* several = bound[0].sequence();
  if (several != nullptr && several->kind == Sequence::Kind::kTuple) {
    return Value(std::any_of(several->items.begin(), several->items.end(), matches));
  }
  return Value(matches(bound[0]));
}

std::int64_t character_index(const Text& text, std::size_t byte, Budget& budget) {
  if (text.is_ascii()) return static_cast<std::int64_t>(byte);
  budget.spend_bytes(byte);
  std::int64_t count = 0;
  for (const char c : text.bytes().substr(0, byte)) {
    count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  }
  return count;
}

// Quadratic where it looks from the right: the steps of that are counted.
std::size_t last_place(std::string_view text, std::string_view part, Budget& budget) {
  if (part.size() > text.size()) return std::string_view::npos;
  budget.spend(1 + text.size() / 64 * (1 + part.size() / 64));
  return text.rfind(part);
}

template <bool from_right, bool must_be_there>
Value find_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("find", std::move(arguments), {"/sub", "/start", "/end"}, 1);
  const ByteRange range = window(text, bound, 1);
  const std::string_view wanted = bound.text(0).bytes();
  std::size_t at = std::string_view::npos;
  if (range.begin <= range.end) {
    const std::string_view part = text.bytes().substr(range.begin, range.end - range.begin);
    run.budget().spend_bytes(part.size());
    at = from_right ? last_place(part, wanted, run.budget()) : find_bytes(part, wanted, 0);
  }
  if (at == std::string_view::npos) {
    if (must_be_there) fail("substring not found");
    return Value(std::int64_t{-1});
  }
  return Value(character_index(text, range.begin + at, run.budget()));
}

Value count_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("count", std::move(arguments), {"/sub", "/start", "/end"}, 1);
  const ByteRange range = window(text, bound, 1);
  if (range.begin > range.end) return Value(std::int64_t{0});
  const Text part = part_of(text, range.begin, range.end, run.budget());
  const std::string_view wanted = bound.text(0).bytes();
  run.budget().spend_bytes(part.bytes().size());
  if (wanted.empty()) return Value(static_cast<std::int64_t>(part.length() + 1));
  std::int64_t count = 0;
  for (std::size_t at = find_bytes(part.bytes(), wanted, 0); at != std::string_view::npos;
       at = find_bytes(part.bytes(), wanted, at + wanted.size())) {
    ++count;
  }
  return Value(count);
}

Value replace_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("replace", std::move(arguments), {"/old", "/new", "/count"}, 2);
  return Value(replaced(text, bound.text(0), bound.text(1), bound.integer(2, -1), run.budget()));
}

Value join_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("join", std::move(arguments), {"/iterable"}, 1);
  TextBuilder out(&run.budget());
  bool is_first = true;
  for (const Value& item : items_of(bound[0], run.budget())) {
    if (item.text() == nullptr) {
      fail(std::string("sequence item: expected str instance, ") + item.type_name() + " found");
    }
    if (!is_first) out.append(text);
    is_first = false;
    out.append(*item.text());
  }
  return Value(out.finish());
}

template <Case wanted>
Value case_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("case", std::move(arguments), {});
  return Value(in_case(text, wanted, run.budget()));
}

template <Text (*change)(const Text&, Budget&)>
Value change_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("method", std::move(arguments), {});
  return Value(change(text, run.budget()));
}

template <bool (*holds)(char32_t)>
Value class_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("method", std::move(arguments), {});
  run.budget().spend_bytes(text.bytes().size());
  return Value(all_codes(text, holds));
}

bool is_alphanumeric(char32_t code) {
  return is_letter(code) || is_numeric(code) || is_digit(code);
}
bool is_seven_bit(char32_t code) { return code < 0x80; }

template <bool (*wanted)(char32_t), bool (*other)(char32_t)>
Value cased_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("method", std::move(arguments), {});
  run.budget().spend_bytes(text.bytes().size());
  bool any = false;
  bool none_other = true;
  for_each_code(text, [&](char32_t code, std::size_t, std::size_t) {
    any = any || wanted(code);
    none_other = none_other && !other(code) && !is_title(code);
  });
  return Value(any && none_other);
}

Value is_title_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("istitle", std::move(arguments), {});
  run.budget().spend_bytes(text.bytes().size());
  bool any = false;
  bool good = true;
  bool in_word = false;
  for_each_code(text, [&](char32_t code, std::size_t, std::size_t) {
    if (is_upper(code) || is_title(code)) {
      good = good && !in_word;
      in_word = any = true;
    } else if (is_lower(code)) {
      good = good && in_word;
      in_word = any = true;
    } else {
      in_word = false;
    }
  });
  return Value(any && good);
}

Value is_ascii_method(Interpreter&, const Text& text, Arguments arguments) {
  const Bound bound("isascii", std::move(arguments), {});
  return Value(text.empty() || all_codes(text, is_seven_bit));
}

Value is_printable_method(Interpreter&, const Text& text, Arguments arguments) {
  const Bound bound("isprintable", std::move(arguments), {});
  return Value(text.empty() || all_codes(text, is_printable));
}

Value is_identifier_method(Interpreter&, const Text& text, Arguments arguments) {
  const Bound bound("isidentifier", std::move(arguments), {});
  const bool begins_with_digit = !text.empty() && text.bytes()[0] >= '0' && text.bytes()[0] <= '9';
  return Value(!begins_with_digit &&
               all_codes(text, [](char32_t code) { return code == '_' || is_alphanumeric(code); }));
}

template <bool from_right>
Value partition_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("partition", std::move(arguments), {"/sep"}, 1);
  const Text& separator = bound.text(0);
  if (separator.empty()) fail("empty separator");
  const std::size_t at = from_right ? last_place(text.bytes(), separator.bytes(), run.budget())
                                    : find_bytes(text.bytes(), separator.bytes(), 0);
  Budget& budget = run.budget();
  budget.spend_bytes(text.bytes().size());
  if (at == std::string_view::npos) {
    Items items = {Value(text), Value(Text()), Value(Text())};
    if (from_right) std::swap(items[0], items[2]);
    return Value::tuple(std::move(items), &budget);
  }
  const std::size_t end = at + separator.bytes().size();
  return Value::tuple({Value(part_of(text, 0, at, budget)), Value(part_of(text, at, end, budget)),
                       Value(part_of(text, end, text.bytes().size(), budget))},
                      &budget);
}

Value split_lines_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("splitlines", std::move(arguments), {"keepends"});
  return list_of(split_lines(text, bound.truth(0, false), run.budget()), run.budget());
}

template <bool at_end>
Value remove_affix_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("removeprefix", std::move(arguments), {"/affix"}, 1);
  const std::string_view affix = bound.text(0).bytes();
  const std::size_t size = text.bytes().size();
  if (at_end ? !text.bytes().ends_with(affix) : !text.bytes().starts_with(affix)) {
    return Value(text);
  }
  return Value(at_end ? part_of(text, 0, size - affix.size(), run.budget())
                      : part_of(text, affix.size(), size, run.budget()));
}

template <Side side>  // of the text: left of the padding, right of it, or amid
Value pad_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("just", std::move(arguments), {"/width", "/fillchar"}, 1);
  const Text fill = bound.has(1) ? bound.text(1) : Text(" ", true, nullptr);
  if (fill.length() != 1) fail("The fill character must be exactly one character long");
  const auto length = static_cast<std::int64_t>(text.length());
  const std::int64_t width = bound.integer(0, 0);
  if (width <= length) return Value(text);
  const std::int64_t missing = width - length;
  if (side == Side::kLeft) return Value(padded(text, 0, missing, fill, run.budget()));
  if (side == Side::kRight) return Value(padded(text, missing, 0, fill, run.budget()));
  const std::int64_t left = missing / 2 + (missing & width & 1);
  return Value(padded(text, left, missing - left, fill, run.budget()));
}

Value zero_fill_method(Interpreter& run, const Text& text, Arguments arguments) {
  const Bound bound("zfill", std::move(arguments), {"/width"}, 1);
  const std::int64_t missing = bound.integer(0, 0) - static_cast<std::int64_t>(text.length());
  if (missing <= 0) return Value(text);
  const bool is_signed = text.bytes().starts_with('-') || text.bytes().starts_with('+');
  TextBuilder out(&run.budget());
  out.append(text, 0, is_signed ? 1 : 0);
  for (std::int64_t i = 0; i < missing; ++i) out.append("0", true);
  out.append(text, is_signed ? 1 : 0, text.bytes().size());
  return Value(out.finish());
}

// As the table has them.
Value format_method(Interpreter& run, const Text& text,
                    Arguments arguments) {  // NOLINT(performance-unnecessary-value-param)
  return Value(brace_format(run, text, arguments));
}

const std::map<std::string_view, TextMethod>& text_methods() {
  static const std::map<std::string_view, TextMethod> kMethods = {
      {"strip", strip_method<Side::kBoth>},
      {"lstrip", strip_method<Side::kLeft>},
      {"rstrip", strip_method<Side::kRight>},
      {"split", split_method<false>},
      {"rsplit", split_method<true>},
      {"splitlines", split_lines_method},
      {"startswith", affix_method<false>},
      {"endswith", affix_method<true>},
      {"find", find_method<false, false>},
      {"rfind", find_method<true, false>},
      {"index", find_method<false, true>},
      {"rindex", find_method<true, true>},
      {"count", count_method},
      {"replace", replace_method},
      {"join", join_method},
      {"upper", case_method<Case::kUpper>},
      {"lower", case_method<Case::kLower>},
      {"casefold", nullptr},
      {"title", change_method<titled>},
      {"capitalize", change_method<capitalized>},
      {"swapcase", change_method<swapped_case>},
      {"isspace", class_method<is_blank>},
      {"isalpha", class_method<is_letter>},
      {"isdigit", class_method<is_digit>},
      {"isdecimal", class_method<is_decimal>},
      {"isnumeric", class_method<is_numeric>},
      {"isalnum", class_method<is_alphanumeric>},
      {"isascii", is_ascii_method},
      {"isprintable", is_printable_method},
      {"isidentifier", is_identifier_method},
      {"isupper", cased_method<is_upper, is_lower>},
      {"islower", cased_method<is_lower, is_upper>},
      {"istitle", is_title_method},
      {"partition", partition_method<false>},
      {"rpartition", partition_method<true>},
      {"removeprefix", remove_affix_method<false>},
      {"removesuffix", remove_affix_method<true>},
      {"ljust", pad_method<Side::kLeft>},
      {"rjust", pad_method<Side::kRight>},
      {"center", pad_method<Side::kBoth>},
      {"zfill", zero_fill_method},
      {"format", format_method},
      {"format_map", nullptr},
      {"encode", nullptr},
      {"expandtabs", nullptr},
      {"translate", nullptr},
      {"maketrans", nullptr},
  };
  return kMethods;
}

}  // namespace

std::optional<Value> text_method(const Value& object, std::string_view name) {
  const auto found = text_methods().find(name);
  if (found == text_methods().end()) return std::nullopt;
  if (found->second == nullptr) {
    return function([method = std::string(name)](Interpreter&, const Arguments&) -> Value {
      fail("the method '" + method + "' of strings is not supported");
    });
  }
  return function(
      [text = *object.text(), body = found->second](Interpreter& run, Arguments arguments) {
        return body(run, text, std::move(arguments));
      });
}

}  // namespace shoal::model::chat
