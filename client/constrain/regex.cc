// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/regex.h"

#include <utility>

namespace shoal::client::constrain {

Regex Regex::of(CodePoints set) {
  Regex regex;
  regex.kind = Kind::kSet;
  regex.set = std::move(set);
  return regex;
}

Regex Regex::repeat(Regex part, std::int64_t least, std::int64_t most) {
  Regex regex;
  regex.kind = Kind::kRepeat;
  regex.parts.push_back(std::move(part));
  regex.least = least;
  regex.most = most;
  return regex;
}

Regex whole_match(std::vector<RegexBranch> branches) {
  Regex either;
  either.kind = Regex::Kind::kEither;
  for (RegexBranch& branch : branches) either.parts.push_back(std::move(branch.regex));
  return either;
}

Regex found_within(std::vector<RegexBranch> branches) {
  const Regex anything = Regex::repeat(Regex::of(CodePoints::all()), 0, -1);
  Regex either;
  either.kind = Regex::Kind::kEither;
  for (RegexBranch& branch : branches) {
    Regex sequence;
    if (!branch.at_begin) sequence.parts.push_back(anything);
    sequence.parts.push_back(std::move(branch.regex));
    if (!branch.at_end) sequence.parts.push_back(anything);
    either.parts.push_back(std::move(sequence));
  }
  return either;
}

void write_utf8(GrammarBuilder& builder, NodeId from, const CodePoints& set, NodeId to) {
  builder.character(from, set, to);
}

// No edge ever leads back to `from`: what is added there later begins nothing anew.
NodeId add_regex(GrammarBuilder& builder, NodeId from, const Regex& regex, WriteCharacter write) {
  if (!builder.spend(1)) return from;
  switch (regex.kind) {
    case Regex::Kind::kSet: {
      const NodeId to = builder.node();
      write(builder, from, regex.set, to);
      return to;
    }
    case Regex::Kind::kSequence:
      for (const Regex& part : regex.parts) from = add_regex(builder, from, part, write);
      return from;
    case Regex::Kind::kEither: {
      const NodeId to = builder.node();
      for (const Regex& part : regex.parts) {
        builder.empty(add_regex(builder, from, part, write), to);
      }
      return to;
    }
    case Regex::Kind::kRepeat:
      break;
  }
  const Regex& part = regex.parts.front();
  for (std::int64_t i = 0; i < regex.least && builder.status().ok(); ++i) {
    from = add_regex(builder, from, part, write);
  }
  const NodeId to = builder.node();
  if (regex.most < 0) {
    builder.empty(from, to);
    builder.empty(add_regex(builder, to, part, write), to);
    // A node of its own behind the loop: from here on others may be added.
    const NodeId behind = builder.node();
    builder.empty(to, behind);
    return behind;
  }
  for (std::int64_t i = regex.least; i < regex.most && builder.status().ok(); ++i) {
    builder.empty(from, to);
    from = add_regex(builder, from, part, write);
  }
  builder.empty(from, to);
  return to;
}

}  // namespace shoal::client::constrain
