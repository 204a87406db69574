// SPDX-License-Identifier: Apache-2.0
#include "model/chat/print.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "model/chat/characters.h"
#include "model/chat/compare.h"
#include "model/chat/number.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

constexpr int kMaxPrintDepth = kMaxValueDepth + 8;  // namespaces may hold themselves

std::string escape_of(const char* form, unsigned value) {
  char buffer[16];
  std::snprintf(buffer, sizeof buffer, form, value);
  return buffer;
}

// In quotes, each escape with the mark of its character.
template <typename Escape>
void append_quoted(const Text& text, char quote, Escape escape, TextBuilder* out) {
  const std::string_view mark(&quote, 1);
  out->append(mark, true);
  const std::string_view bytes = text.bytes();
  std::size_t copied = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    const std::string escaped = escape(next_code(bytes, &at));
    if (escaped.empty()) continue;
    out->append(text, copied, begin);
    out->append(escaped, text.is_trusted_at(begin));
    copied = at;
  }
  out->append(text, copied, bytes.size());
  out->append(mark, true);
}

void append_text_repr(const Text& text, TextBuilder* out) {
  const bool has_single = text.bytes().find('\'') != std::string_view::npos;
  const bool has_double = text.bytes().find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  const auto escape = [&](char32_t code) -> std::string {
    if (code == static_cast<char32_t>(quote)) return std::string("\\") + quote;
    if (code == '\\') return "\\\\";
    if (code == '\n') return "\\n";
    if (code == '\r') return "\\r";
    if (code == '\t') return "\\t";
    if (is_printable(code)) return "";
    const auto value = static_cast<unsigned>(code);
    return escape_of(code < 0x100 ? "\\x%02x" : (code < 0x10000 ? "\\u%04x" : "\\U%08x"), value);
  };
  append_quoted(text, quote, escape, out);
}

class ReprWriter {
 public:
  ReprWriter(TextBuilder* out, Budget& budget) : out_(out), budget_(budget) {}

  void write(const Value& value, int depth) {
    budget_.spend(1);
    if (depth > kMaxPrintDepth) fail("what is printed holds itself");
    if (const Text* text = value.text()) {
      append_text_repr(*text, out_);
    } else if (value.is_undefined()) {
      words("Undefined");
    } else if (const Sequence* sequence = value.sequence()) {
      write_sequence(*sequence, depth);
    } else if (const Dict* dict = value.dict()) {
      words("{");
      const char* between = "";
      for (const auto& [key, item] : dict->entries()) {
        words(between);
        write(key, depth + 1);
        words(": ");
        write(item, depth + 1);
        between = ", ";
      }
      words("}");
    } else if (const Namespace* ns = value.ns()) {
      words("<Namespace {");
      const char* between = "";
      for (const auto& [name, item] : ns->attributes) {
        words(between);
        append_text_repr(Text(name, true, &budget_), out_);
        words(": ");
        write(item, depth + 1);
        between = ", ";
      }
      words("}>");
    } else if (value.iterator() != nullptr || value.object() != nullptr) {
      words("<" + std::string(value.type_name()) + ">");  // Python prints an address
    } else {
      append_text(value, out_, budget_);
    }
  }

 private:
  void words(std::string_view bytes) { out_->append(bytes, true); }

  void write_sequence(const Sequence& sequence, int depth) {
    using Kind = Sequence::Kind;
    if (sequence.kind == Kind::kRange) return words(sequence.shown);
    const bool is_tuple = sequence.kind == Kind::kTuple;
    const bool is_view = !is_tuple && sequence.kind != Kind::kList;
    if (is_view) {
      words(sequence.kind == Kind::kKeys     ? "dict_keys("
            : sequence.kind == Kind::kValues ? "dict_values("
                                             : "dict_items(");
    }
    words(is_tuple ? "(" : "[");
    const char* between = "";
    for (const Value& item : sequence.items) {
      words(between);
      write(item, depth + 1);
      between = ", ";
    }
    if (is_tuple && sequence.items.size() == 1) words(",");
    words(is_tuple ? ")" : "]");
    if (is_view) words(")");
  }

  TextBuilder* out_;
  Budget& budget_;
};

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, TextBuilder* out, Budget& budget)
      : style_(style), out_(out), budget_(budget) {}

  void write(const Value& value, int level) {
    budget_.spend(1);
    if (const Text* text = value.text()) return write_text(*text);
    if (value.is_none()) return words("null");
    if (value.is_bool()) return words(value.truthy() ? "true" : "false");
    if (value.is_integer()) return words(std::to_string(*value.as_integer()));
    if (value.is_float()) return words(number(*value.as_double()));
    const Sequence* sequence = value.sequence();
    if (sequence != nullptr &&
        (sequence->kind == Sequence::Kind::kList || sequence->kind == Sequence::Kind::kTuple)) {
      begin("[");
      for (const Value& item : sequence->items) {
        next_item(level + 1);
        write(item, level + 1);
      }
      return end("]", sequence->items.empty(), level);
    }
    if (const Dict* dict = value.dict()) return write_dict(*dict, level);
    fail(std::string("Object of type ") + value.type_name() + " is not JSON serializable");
  }

 private:
  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return float_text(value);
  }

  void words(std::string_view bytes) { out_->append(bytes, true); }
  void begin(std::string_view bracket) {
    words(bracket);
    is_first_ = true;
  }
  void new_line(int level) {
    if (!style_.indent) return;
    words("\n");
    for (int i = 0; i < level; ++i) words(*style_.indent);
  }
  void next_item(int level) {
    if (!is_first_) words(style_.item_separator);
    is_first_ = false;
    new_line(level);
  }
  void end(std::string_view bracket, bool is_empty, int level) {
    if (!is_empty) new_line(level);
    is_first_ = false;
    words(bracket);
  }

  void write_text(const Text& text) {
    append_quoted(
        text, '"', [&](char32_t code) { return escape(code); }, out_);
  }

  std::string escape(char32_t code) const {
    switch (code) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      case '\f':
        return "\\f";
      case '\b':
        return "\\b";
      default:
        break;
    }
    const auto value = static_cast<unsigned>(code);
    if (code < 0x20) return escape_of("\\u%04x", value);
    if (!style_.ensure_ascii || (code >= 0x20 && code < 0x7F)) return "";
    if (code < 0x10000) return escape_of("\\u%04x", value);
    return escape_of("\\u%04x", 0xD800 + ((value - 0x10000) >> 10)) +
           escape_of("\\u%04x", 0xDC00 + ((value - 0x10000) & 0x3FF));
  }

  void write_key(const Value& key) {
    if (const Text* text = key.text()) return write_text(*text);
    words("\"");
    if (key.is_none()) {
      words("null");
    } else if (key.is_bool()) {
      words(key.truthy() ? "true" : "false");
    } else if (key.is_integer()) {
      words(std::to_string(*key.as_integer()));
    } else if (key.is_float()) {
      words(number(*key.as_double()));
    } else {
      fail(std::string("keys must be str, int, float, bool or None, not ") + key.type_name());
    }
    words("\"");
  }

  void write_dict(const Dict& dict, int level) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* left, const auto* right) {
        return order(left->first, right->first, "<", &budget_) < 0;
      });
    }
    begin("{");
    for (const auto* entry : entries) {
      next_item(level + 1);
      write_key(entry->first);
      words(style_.key_separator);
      write(entry->second, level + 1);
    }
    end("}", entries.empty(), level);
  }

  const JsonStyle& style_;
  TextBuilder* out_;
  Budget& budget_;
  bool is_first_ = true;
};

}  // namespace

void append_repr(const Value& value, TextBuilder* out, Budget& budget) {
  ReprWriter(out, budget).write(value, 0);
}

void append_text(const Value& value, TextBuilder* out, Budget& budget) {
  if (const Text* text = value.text()) return out->append(*text);
  if (value.is_undefined()) return;
  if (value.is_none()) return out->append("None", true);
  if (value.is_bool()) return out->append(value.truthy() ? "True" : "False", true);
  if (value.is_integer()) return out->append(std::to_string(*value.as_integer()), true);
  if (value.is_float()) return out->append(float_text(*value.as_double()), true);
  append_repr(value, out, budget);
}

Text to_text(const Value& value, Budget& budget) {
  if (const Text* text = value.text()) return *text;
  TextBuilder out(&budget);
  append_text(value, &out, budget);
  return out.finish();
}

void append_json(const Value& value, const JsonStyle& style, TextBuilder* out, Budget& budget) {
  JsonWriter(style, out, budget).write(value, 0);
}

}  // namespace shoal::model::chat
