// SPDX-License-Identifier: Apache-2.0
// The tokens of a template as a parser goes through them, and the symbols of its names.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/chat/lexer.h"

namespace shoal::model::chat {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token next() {
    Token token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }

  bool is(Token::Kind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view text) const { return is_operator(current(), text); }
  bool is_name(std::string_view text) const { return is_name(current(), text); }
  static bool is_operator(const Token& token, std::string_view text) {
    return token.kind == Token::Kind::kOperator && token.text == text;
  }
  static bool is_name(const Token& token, std::string_view text) {
    return token.kind == Token::Kind::kName && token.text == text;
  }

  bool skip_operator(std::string_view text) {
    if (!is_operator(text)) return false;
    next();
    return true;
  }
  bool skip_name(std::string_view text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  Token expect(Token::Kind kind, std::string_view what) {
    if (!is(kind)) refuse_current(what);
    return next();
  }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) refuse_current("'" + std::string(text) + "'");
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) refuse_current("'" + std::string(text) + "'");
  }

  [[noreturn]] void refuse(const std::string& message, Place place) const {
    throw TemplateError(TemplateError::Kind::kSyntax, message, place);
  }
  [[noreturn]] void refuse_current(std::string_view expected) const {
    refuse("expected " + std::string(expected) + ", not " + describe(current()), current().place);
  }
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case Token::Kind::kData:
        return "text";
      case Token::Kind::kBlockBegin:
        return "'{%'";
      case Token::Kind::kBlockEnd:
        return "'%}'";
      case Token::Kind::kVariableBegin:
        return "'{{'";
      case Token::Kind::kVariableEnd:
        return "'}}'";
      case Token::Kind::kString:
        return "a string";
      case Token::Kind::kEnd:
        return "the end of the template";
      default:
        return "'" + token.text + "'";
    }
  }

  int symbol_of(const std::string& name) {
    const auto [entry, is_new] = symbols_.try_emplace(name, static_cast<int>(names_.size()));
    if (is_new) names_.push_back(name);
    return entry->second;
  }
  std::vector<std::string> take_names() { return std::move(names_); }

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::map<std::string, int> symbols_;
  std::vector<std::string> names_;
};

}  // namespace shoal::model::chat
