// SPDX-License-Identifier: Apache-2.0
// The expressions of Jinja: precedence, postfixes, filters, tests, targets of assignments. Throws
// TemplateError. Used by parser.cc alone.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat/token_stream.h"
#include "model/chat/tree.h"

namespace shoal::model::chat {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExpressionPtr expression() { return conditional(); }
  ExpressionPtr without_conditional() { return alternative(); }
  // One expression, or several with commas, up to a tag's end, a ')' or this name.
  ExpressionPtr tuple(bool with_conditional = true, std::string_view end_name = {},
                      bool in_parentheses = false);
  // Names, or tuples of them, or with_namespace NAME.ATTRIBUTE.
  ExpressionPtr target(bool with_namespace, std::string_view end_name = {});
  // "name(arguments)|name ..." on a null expression; null where there is no filter.
  ExpressionPtr filters(ExpressionPtr node, bool starts_inline);

  // Names that were read since; for caller, varargs and kwargs of a macro.
  std::set<std::string>& mentions() { return mentions_; }
  const std::set<std::string>& literals() const { return literals_; }

 private:
  using Kind = Expression::Kind;
  class Depth;

  ExpressionPtr make(Kind kind, Place place, std::vector<ExpressionPtr> parts = {});
  ExpressionPtr make(Kind kind, Place place, ExpressionPtr first, ExpressionPtr second = nullptr);
  ExpressionPtr binary(Operator op, Place place, ExpressionPtr left, ExpressionPtr right);
  void measure(Expression& node);

  ExpressionPtr conditional();
  ExpressionPtr alternative();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum_of();
  ExpressionPtr concatenation();
  ExpressionPtr product_of();
  ExpressionPtr power_of();
  ExpressionPtr unary(bool with_filter = true);
  ExpressionPtr primary(bool with_namespace = false);
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr filter_or_test(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr subscribed(ExpressionPtr node, Place place);
  ExpressionPtr call(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr node);
  CallParts call_parts();
  std::string dotted_name();
  void check_target(const Expression& node);

  TokenStream& tokens_;
  int depth_ = 0;
  std::set<std::string> mentions_;
  std::set<std::string> literals_;
};

}  // namespace shoal::model::chat
