// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/json_grammar.h"

#include <string>

namespace shoal::client::constrain {
namespace {

constexpr int kMaxIndent = 20;
constexpr int kWholeDigits = 18, kFractionDigits = 15, kExponentDigits = 2;

CodePoints in_quotes_as_it_is() {
  CodePoints set = CodePoints::of(0x20, 0x10FFFF);
  CodePoints special = CodePoints::of('"', '"');
  special.add('\\', '\\');
  return set.minus(special);
}

void hex_digit(GrammarBuilder& builder, NodeId from, NodeId to) {
  builder.byte(from, '0', '9', to);
  builder.byte(from, 'a', 'f', to);
  builder.byte(from, 'A', 'F', to);
}

NodeId hex_digits(GrammarBuilder& builder, NodeId from, int count) {
  for (int i = 0; i < count; ++i) {
    const NodeId to = builder.node();
    hex_digit(builder, from, to);
    from = to;
  }
  return from;
}

void either_case(GrammarBuilder& builder, NodeId from, char upper, char last, NodeId to) {
  builder.byte(from, static_cast<unsigned char>(upper), static_cast<unsigned char>(last), to);
  builder.byte(from, static_cast<unsigned char>(upper | 0x20),
               static_cast<unsigned char>(last | 0x20), to);
}

// \uXXXX behind \u: a character of the basic plane, or a pair of surrogates.
void unicode_escape(GrammarBuilder& builder, NodeId from, NodeId to) {
  const NodeId rest = builder.node();  // three digits, whatever they are
  builder.byte(from, '0', '9', rest);
  either_case(builder, from, 'A', 'C', rest);
  either_case(builder, from, 'E', 'F', rest);
  builder.empty(hex_digits(builder, rest, 3), to);
  const NodeId d = builder.node(), low = builder.node(), high = builder.node();
  either_case(builder, from, 'D', 'D', d);
  builder.byte(d, '0', '7', low);
  builder.empty(hex_digits(builder, low, 2), to);
  builder.byte(d, '8', '9', high);
  either_case(builder, d, 'A', 'B', high);
  const NodeId second = builder.text(hex_digits(builder, high, 2), "\\u");
  const NodeId second_d = builder.node(), tail = builder.node();
  either_case(builder, second, 'D', 'D', second_d);
  either_case(builder, second_d, 'C', 'F', tail);
  builder.empty(hex_digits(builder, tail, 2), to);
}

// One to `most` digits behind `from`.
NodeId some_digits(GrammarBuilder& builder, NodeId from, int most) {
  const NodeId to = builder.node();
  for (int i = 0; i < most; ++i) {
    const NodeId next = builder.node();
    builder.byte(from, '0', '9', next);
    builder.empty(next, to);
    from = next;
  }
  return to;
}

}  // namespace

void write_json_character(GrammarBuilder& builder, NodeId from, const CodePoints& set, NodeId to) {
  builder.character(from, set.intersection(in_quotes_as_it_is()), to);
  constexpr std::string_view kShort = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
  for (char32_t code = 0; code < 0x80; ++code) {
    if ((code >= 0x20 && code != '"' && code != '\\') || !set.contains(code)) continue;
    const std::size_t known = kShort.find(static_cast<char>(code));
    if (known != std::string_view::npos) {
      builder.empty(builder.text(from, std::string("\\") + kLetters[known]), to);
      continue;
    }
    const NodeId last = builder.text(from, code < 0x10 ? "\\u000" : "\\u001");
    const auto digit = static_cast<unsigned char>("0123456789abcdef"[code % 16]);
    builder.byte(last, digit, digit, to);
    if (digit >= 'a') builder.byte(last, digit - 0x20, digit - 0x20, to);
  }
}

NodeId JsonGrammar::shared(std::optional<Rule>& rule, NodeId from, Body body) {
  if (!rule) {
    rule = builder_.rule();  // before its body, which may call it
    const Rule made = *rule;
    builder_.empty((this->*body)(made.entry), made.end);
  }
  const NodeId back = builder_.node();
  builder_.call(from, *rule, back);
  return back;
}

NodeId JsonGrammar::space(NodeId from) { return shared(space_, from, &JsonGrammar::space_body); }
NodeId JsonGrammar::value(NodeId from) { return shared(value_, from, &JsonGrammar::value_body); }
NodeId JsonGrammar::object(NodeId from) { return shared(object_, from, &JsonGrammar::object_body); }
NodeId JsonGrammar::array(NodeId from) { return shared(array_, from, &JsonGrammar::array_body); }
NodeId JsonGrammar::string(NodeId from) { return shared(string_, from, &JsonGrammar::string_body); }
NodeId JsonGrammar::number(NodeId from) { return shared(number_, from, &JsonGrammar::number_body); }

NodeId JsonGrammar::space_body(NodeId from) {
  const NodeId to = builder_.node();
  builder_.empty(from, to);
  builder_.byte(from, ' ', ' ', to);
  NodeId at = builder_.text(from, "\n");
  builder_.empty(at, to);
  for (int i = 0; i < kMaxIndent; ++i) {
    at = builder_.text(at, " ");
    builder_.empty(at, to);
  }
  return to;
}

NodeId JsonGrammar::colon(NodeId from) {
  const NodeId at = builder_.text(from, ":");
  const NodeId to = builder_.text(at, " ");
  builder_.empty(at, to);
  return to;
}

NodeId JsonGrammar::comma(NodeId from) { return space(builder_.text(from, ",")); }

NodeId JsonGrammar::value_body(NodeId from) {
  const NodeId to = builder_.node();
  for (const NodeId end : {object(from), array(from), string(from), number(from), boolean(from),
                           builder_.text(from, "null")}) {
    builder_.empty(end, to);
  }
  return to;
}

NodeId JsonGrammar::object_body(NodeId from) {
  const NodeId open = builder_.text(from, "{");
  const NodeId first = builder_.node();
  builder_.empty(space(open), first);
  const NodeId behind = value(colon(string(first)));
  builder_.empty(comma(behind), first);
  const NodeId to = builder_.text(space(behind), "}");
  builder_.byte(open, '}', '}', to);
  return to;
}

NodeId JsonGrammar::array_body(NodeId from) {
  const NodeId open = builder_.text(from, "[");
  const NodeId first = builder_.node();
  builder_.empty(space(open), first);
  const NodeId behind = value(first);
  builder_.empty(comma(behind), first);
  const NodeId to = builder_.text(space(behind), "]");
  builder_.byte(open, ']', ']', to);
  return to;
}

// What is not one byte: an escape, or a character beyond ASCII.
NodeId JsonGrammar::wide_body(NodeId from) {
  const NodeId to = builder_.node();
  builder_.character(from, CodePoints::of(0x80, 0x10FFFF), to);
  const NodeId escape = builder_.text(from, "\\");
  for (const char c : std::string_view("\"\\/bfnrt")) {
    builder_.byte(escape, static_cast<unsigned char>(c), static_cast<unsigned char>(c), to);
  }
  unicode_escape(builder_, builder_.text(escape, "u"), to);
  return to;
}

void JsonGrammar::character(NodeId from, NodeId to) {
  builder_.character(from, in_quotes_as_it_is().intersection(CodePoints::of(0, 0x7F)), to);
  builder_.empty(shared(wide_, from, &JsonGrammar::wide_body), to);
}

NodeId JsonGrammar::string_body(NodeId from) {
  const NodeId inside = builder_.text(from, "\"");
  character(inside, inside);
  return builder_.text(inside, "\"");
}

NodeId JsonGrammar::string_of_length(NodeId from, std::int64_t least, std::int64_t most) {
  NodeId at = builder_.text(from, "\"");
  for (std::int64_t i = 0; i < least && builder_.status().ok(); ++i) {
    const NodeId next = builder_.node();
    character(at, next);
    at = next;
  }
  if (most < 0) {
    character(at, at);
    return builder_.text(at, "\"");
  }
  const NodeId to = builder_.node();
  builder_.byte(at, '"', '"', to);
  for (std::int64_t i = least; i < most && builder_.status().ok(); ++i) {
    const NodeId next = builder_.node();
    character(at, next);
    builder_.byte(next, '"', '"', to);
    at = next;
  }
  return to;
}

NodeId JsonGrammar::number_body(NodeId from) {
  const NodeId positive = builder_.node(), whole = builder_.node();
  builder_.empty(from, positive);
  builder_.byte(from, '-', '-', positive);
  builder_.byte(positive, '0', '0', whole);
  const NodeId digits = builder_.node();
  builder_.byte(positive, '1', '9', digits);
  builder_.empty(digits, whole);
  builder_.empty(some_digits(builder_, digits, kWholeDigits - 1), whole);
  const NodeId fraction = builder_.node();
  builder_.empty(whole, fraction);
  builder_.empty(some_digits(builder_, builder_.text(whole, "."), kFractionDigits), fraction);
  const NodeId to = builder_.node();
  builder_.empty(fraction, to);
  const NodeId mark = builder_.node(), exponent = builder_.node();
  builder_.byte(fraction, 'e', 'e', mark);
  builder_.byte(fraction, 'E', 'E', mark);
  builder_.empty(mark, exponent);
  builder_.byte(mark, '+', '+', exponent);
  builder_.byte(mark, '-', '-', exponent);
  builder_.empty(some_digits(builder_, exponent, kExponentDigits), to);
  return to;
}

NodeId JsonGrammar::boolean(NodeId from) {
  const NodeId to = builder_.text(from, "true");
  builder_.empty(builder_.text(from, "false"), to);
  return to;
}

}  // namespace shoal::client::constrain
