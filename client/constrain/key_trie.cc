// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/key_trie.h"

#include <map>

#include "model/tokenizer/utf8.h"

namespace shoal::client::constrain {
namespace {

// A name's beginning, and whether it is all of one.
struct Beginning {
  std::map<char32_t, Beginning> longer;
  bool whole = false;
};

}  // namespace

NodeId add_other_key(GrammarBuilder& builder, NodeId from, const std::vector<std::string>& names) {
  CodePoints plain = CodePoints::of(0x20, 0x10FFFF);  // what needs no escape
  CodePoints escaped = CodePoints::of('"', '"');
  escaped.add('\\', '\\');
  plain = plain.minus(escaped);
  Beginning root;
  for (const std::string& name : names) {
    if (!model::is_utf8(name)) continue;
    Beginning* at = &root;
    for (std::size_t i = 0; i < name.size();) at = &at->longer[model::next_code(name, &i)];
    at->whole = true;
  }
  const NodeId inside = builder.text(from, "\""), other = builder.node(), to = builder.node();
  builder.character(other, plain, other);
  builder.byte(other, '"', '"', to);
  std::vector<std::pair<const Beginning*, NodeId>> work = {{&root, inside}};
  while (!work.empty() && builder.status().ok()) {
    const auto [at, node] = work.back();
    work.pop_back();
    CodePoints differs = plain;
    for (const auto& [code, longer] : at->longer) {
      differs = differs.minus(CodePoints::of(code, code));
      if (!plain.contains(code)) continue;  // such a name cannot be written here
      const NodeId next = builder.node();
      builder.character(node, CodePoints::of(code, code), next);
      work.emplace_back(&longer, next);
    }
    builder.character(node, differs, other);
    if (!at->whole) builder.byte(node, '"', '"', to);
  }
  return to;
}

}  // namespace shoal::client::constrain
