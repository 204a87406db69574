// SPDX-License-Identifier: Apache-2.0
// Filters on any value, and tojson.
#include <cmath>
#include <string>
#include <utility>

#include "model/chat/arguments.h"
#include "model/chat/filters.h"
#include "model/chat/interpreter.h"
#include "model/chat/number.h"
#include "model/chat/operators.h"
#include "model/chat/print.h"
#include "model/chat/subscript.h"
#include "model/chat/text_operations.h"

namespace shoal::model::chat {
namespace {

Value default_filter(Interpreter&, const Value& value, Arguments arguments) {
  const Bound bound("default", std::move(arguments), {"default_value", "boolean"});
  const bool replace = value.is_undefined() || (bound.truth(1, false) && !value.truthy());
  if (!replace) return value;
  return bound.has(0) ? bound[0] : Value(Text());
}

Value abs_filter(Interpreter&, const Value& value, Arguments arguments) {
  const Bound bound("abs", std::move(arguments), {});
  if (value.is_float()) return Value(std::abs(*value.as_double()));
  const std::optional<std::int64_t> integer = value.as_integer();
  if (!integer) {
    fail(value.is_undefined()
             ? value.undefined_message()
             : std::string("bad operand type for abs(): '") + value.type_name() + "'");
  }
  return *integer < 0 ? negated(value) : affirmed(value);
}

Value int_filter(Interpreter&, const Value& value, Arguments arguments) {
  const Bound bound("int", std::move(arguments), {"default", "base"});
  Value fallback = bound.has(0) ? bound[0] : Value(std::int64_t{0});
  if (value.is_undefined()) fail(value.undefined_message());
  if (const std::optional<std::int64_t> integer = value.as_integer()) return Value(*integer);
  std::optional<double> number = value.as_double();
  if (const Text* text = value.text()) {
    const std::int64_t base = bound.integer(1, 10);
    if (base != 0 && (base < 2 || base > 36)) return fallback;
    const std::optional<std::int64_t> read = read_integer(text->bytes(), static_cast<int>(base));
    if (read) return Value(*read);
    number = read_float(text->bytes());
  }
  if (value.is_float() && std::isinf(*number)) fail("cannot convert float infinity to integer");
  if (!number || !std::isfinite(*number)) return fallback;
  const std::optional<std::int64_t> whole = whole_part(*number);
  if (!whole) fail_overflow();
  return Value(*whole);
}

Value float_filter(Interpreter&, const Value& value, Arguments arguments) {
  const Bound bound("float", std::move(arguments), {"default"});
  if (value.is_undefined()) fail(value.undefined_message());
  std::optional<double> number = value.as_double();
  if (const Text* text = value.text()) number = read_float(text->bytes());
  if (number) return Value(*number);
  return bound.has(0) ? bound[0] : Value(0.0);
}

Value round_filter(Interpreter&, const Value& value, Arguments arguments) {
  const Bound bound("round", std::move(arguments), {"precision", "method"});
  const std::int64_t digits = bound.integer(0, 0);
  const std::string_view method = bound.has(1) ? bound.text(1).bytes() : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    fail("method must be common, ceil or floor");
  }
  if (value.is_undefined()) fail(value.undefined_message());
  const std::optional<double> number = value.as_double();
  if (!number) fail(std::string("type ") + value.type_name() + " doesn't define __round__ method");
  if (std::abs(digits) > 1000) fail("round: a precision above 1000");
  if (method == "common") {
    if (value.is_float()) return Value(round_to(*number, static_cast<int>(digits)));
    if (digits >= 0) return Value(*value.as_integer());
    return Value(static_cast<std::int64_t>(round_to(*number, static_cast<int>(digits))));
  }
  const double unit = std::pow(10.0, static_cast<double>(digits));
  return Value((method == "ceil" ? std::ceil(*number * unit) : std::floor(*number * unit)) / unit);
}

Value attr_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("attr", std::move(arguments), {"name"}, 1);
  const std::string_view name = bound.text(0).bytes();
  if (value.dict() != nullptr) {  // its methods, never its items
    return dict_method(value, name)
        .value_or(Value::undefined("'dict object' has no attribute '" + std::string(name) + "'"));
  }
  return attribute_of(run, value, name);
}

Value file_size_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("filesizeformat", std::move(arguments), {"binary"});
  const bool binary = bound.truth(0, false);
  std::optional<double> size = value.as_double();
  if (const Text* text = value.text()) size = read_float(text->bytes());
  if (!size) fail("filesizeformat needs a number");
  const double base = binary ? 1024 : 1000;
  std::string shown;
  if (*size == 1) {
    shown = "1 Byte";
  } else if (*size < base) {
    shown = std::to_string(static_cast<std::int64_t>(*size)) + " Bytes";
  } else {
    constexpr std::string_view kLetters = "kMGTPEZY";
    std::size_t letter = 0;
    double unit = base * base;
    while (*size >= unit && letter + 1 < kLetters.size()) {
      unit *= base;
      ++letter;
    }
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, "%.1f ", base * *size / unit);
    shown = buffer;
    shown += binary && letter == 0 ? 'K' : kLetters[letter];
    shown += binary ? "iB" : "B";
  }
  return Value(Text(std::move(shown), true, &run.budget()));
}

Value to_json_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("tojson", std::move(arguments),
                    {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  if (bound.has(1) && !bound[1].is_none()) {
    if (bound[1].text() != nullptr) {
      style.indent = std::string(bound[1].text()->bytes());
      style.is_trusted = bound[1].text()->is_trusted();
    } else {
      const std::int64_t width = bound.integer(1, 0);
      if (width > 1000) fail("tojson: an indent above 1000");
      style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(0, width)), ' ');
    }
    style.item_separator = ",";
  }
  if (bound.has(2) && !bound[2].is_none()) {
    const Sequence* pair = bound[2].sequence();
    if (pair == nullptr || pair->items.size() != 2 || pair->items[0].text() == nullptr ||
        pair->items[1].text() == nullptr) {
      fail("tojson: separators must be two strings");
    }
    for (const Value& item : pair->items) {
      style.is_trusted = style.is_trusted && item.text()->is_trusted();
    }
    style.item_separator = std::string(pair->items[0].text()->bytes());
    style.key_separator = std::string(pair->items[1].text()->bytes());
  }
  TextBuilder out(&run.budget());
  append_json(value, style, &out, run.budget());
  return Value(out.finish());
}

}  // namespace

const FilterTable& value_filters() {
  static const FilterTable kFilters = {
      {"default", default_filter}, {"d", default_filter},
      {"abs", abs_filter},         {"int", int_filter},
      {"float", float_filter},     {"round", round_filter},
      {"attr", attr_filter},       {"filesizeformat", file_size_filter},
      {"tojson", to_json_filter},
  };
  return kFilters;
}

}  // namespace shoal::model::chat
