// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) as parts of a grammar. White space is bounded, so that no model can go round in
// it: one blank or none behind a colon; elsewhere between tokens nothing, one blank, or a line end
// and up to 20 blanks. Numbers have at most 18 digits before the point, 15 behind it and 2 in the
// exponent, so that all are finite doubles. One caller at a time; the builder must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "client/constrain/grammar.h"

namespace shoal::client::constrain {

// Inside of a string, as shortly as RFC 8259 can: raw, or escaped where it must be.
void write_json_character(GrammarBuilder& builder, NodeId from, const CodePoints& set, NodeId to);

// Each adds something behind `from`, and returns where it ends.
class JsonGrammar {
 public:
  explicit JsonGrammar(GrammarBuilder& builder) : builder_(builder) {}

  NodeId space(NodeId from);
  NodeId colon(NodeId from);  // with its space
  NodeId comma(NodeId from);

  NodeId value(NodeId from);   // of any kind
  NodeId object(NodeId from);  // with any members
  NodeId array(NodeId from);
  NodeId string(NodeId from);  // with all escapes, surrogates in pairs
  // So many characters; most -1: no limit.
  NodeId string_of_length(NodeId from, std::int64_t least, std::int64_t most);
  NodeId number(NodeId from);
  NodeId boolean(NodeId from);

 private:
  using Body = NodeId (JsonGrammar::*)(NodeId from);
  NodeId shared(std::optional<Rule>& rule, NodeId from, Body body);
  NodeId value_body(NodeId from);
  NodeId object_body(NodeId from);
  NodeId array_body(NodeId from);
  NodeId string_body(NodeId from);
  NodeId number_body(NodeId from);
  NodeId space_body(NodeId from);
  NodeId wide_body(NodeId from);
  void character(NodeId from, NodeId to);

  GrammarBuilder& builder_;
  std::optional<Rule> value_, object_, array_, string_, number_, space_, wide_;
};

}  // namespace shoal::client::constrain
