// SPDX-License-Identifier: Apache-2.0
// Regular expressions, RE2's syntax without what has no place in an automaton: literals, escapes,
// classes, groups, |, ?, *, +, {m,n}, dot, anchors at the ends. Over characters, so that it can be
// written in UTF-8 or as the inside of a JSON string. A tree is an immutable value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/constrain/code_points.h"
#include "client/constrain/grammar.h"

namespace shoal::client::constrain {

struct Regex {
  enum class Kind { kSet, kSequence, kEither, kRepeat };
  Kind kind = Kind::kSequence;  // without parts: the empty text
  CodePoints set;
  std::vector<Regex> parts;
  std::int64_t least = 0, most = 0;  // kRepeat of parts[0]; most -1: no limit

  static Regex of(CodePoints set);
  static Regex repeat(Regex part, std::int64_t least, std::int64_t most);
};

// One of the alternatives at the top, and whether it says that it begins and ends with the text.
struct RegexBranch {
  Regex regex;
  bool at_begin = false, at_end = false;
};

// INVALID_ARGUMENT names the position, in characters from 1.
absl::StatusOr<std::vector<RegexBranch>> parse_regex(std::string_view pattern);

// The whole text, whatever the anchors say.
Regex whole_match(std::vector<RegexBranch> branches);
// Somewhere in the text, as "pattern" of JSON Schema is meant, but for anchors.
Regex found_within(std::vector<RegexBranch> branches);

// How one character of a set is written.
using WriteCharacter = void (*)(GrammarBuilder& builder, NodeId from, const CodePoints& set,
                                NodeId to);
void write_utf8(GrammarBuilder& builder, NodeId from, const CodePoints& set, NodeId to);
// Adds the expression behind `from`, and returns where it ends.
NodeId add_regex(GrammarBuilder& builder, NodeId from, const Regex& regex, WriteCharacter write);

}  // namespace shoal::client::constrain
