// SPDX-License-Identifier: Apache-2.0
#include "model/chat/parser.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/chat/expression_parser.h"
#include "model/chat/token_stream.h"

namespace shoal::model::chat {
namespace {

constexpr int kMaxBlockDepth = 50;  // Python takes 20 loops within each other

class StatementParser {
 public:
  explicit StatementParser(std::string_view source)
      : tokens_(tokens_of(source)), expressions_(tokens_) {}

  Tree run() {
    Tree tree;
    tree.loop = tokens_.symbol_of("loop");
    tree.caller = tokens_.symbol_of("caller");
    tree.varargs = tokens_.symbol_of("varargs");
    tree.kwargs = tokens_.symbol_of("kwargs");
    tree.body = body({});
    tree.names = tokens_.take_names();
    tree.literals.assign(expressions_.literals().begin(), expressions_.literals().end());
    return tree;
  }

 private:
  using Kind = Statement::Kind;
  using StatementPtr = std::unique_ptr<Statement>;
  using Names = std::initializer_list<std::string_view>;

  static StatementPtr make(Kind kind, Place place) {
    auto node = std::make_unique<Statement>();
    node->kind = kind;
    node->place = place;
    return node;
  }

  // Up to a tag of one of these names, whose name is then the current token; without names up to
  // the end of the template.
  Body body(Names ends) {
    Body result;
    while (true) {
      const Token token = tokens_.next();
      switch (token.kind) {
        case Token::Kind::kData:
          result.push_back(make(Kind::kData, token.place));
          result.back()->data = Text(token.text, /*trusted=*/true, nullptr);
          break;
        case Token::Kind::kVariableBegin:
          result.push_back(make(Kind::kOutput, token.place));
          result.back()->expressions.push_back(expressions_.tuple());
          tokens_.expect(Token::Kind::kVariableEnd, "'}}'");
          break;
        case Token::Kind::kBlockBegin: {
          const auto is_end = [&](std::string_view name) { return tokens_.is_name(name); };
          if (std::any_of(ends.begin(), ends.end(), is_end)) return result;
          result.push_back(statement(ends));
          tokens_.expect(Token::Kind::kBlockEnd, "'%}'");
          break;
        }
        default:
          if (ends.size() > 0) tokens_.refuse(missing(ends), token.place);
          return result;
      }
    }
  }

  std::string missing(Names ends) const {
    std::string message = "the template ends without {% ";
    message += std::string(*(ends.end() - 1)) + " %}";
    if (!open_.empty()) {
      message += " for the {% " + open_.back().first + " %} of line " +
                 std::to_string(open_.back().second.line);
    }
    return message;
  }

  // Behind a tag's head: its end, then the body.
  Body body_of_tag(Names ends) {
    tokens_.skip_operator(":");
    tokens_.expect(Token::Kind::kBlockEnd, "'%}'");
    return body(ends);
  }

  Body body_to(std::string_view end) {
    Body result = body_of_tag({end});
    tokens_.next();
    return result;
  }

  StatementPtr statement(Names ends) {
    const Token tag = tokens_.expect(Token::Kind::kName, "the name of a tag");
    if (open_.size() >= kMaxBlockDepth) tokens_.refuse("tags are nested too deep", tag.place);
    open_.emplace_back(tag.text, tag.place);
    StatementPtr node = statement_of(tag, ends);
    open_.pop_back();
    return node;
  }

  StatementPtr statement_of(const Token& tag, Names ends) {
    const std::string& name = tag.text;
    if (name == "for") return for_loop(tag);
    if (name == "if") return if_chain(tag);
    if (name == "set") return assignment(tag);
    if (name == "macro") return macro(tag);
    if (name == "call") return call_block(tag);
    if (name == "filter") return filter_block(tag);
    if (name == "with") return with_block(tag);
    if (name == "print") return print(tag);
    if (name == "generation") return generation(tag);
    if (name == "break" || name == "continue") {
      if (loops_ == 0) tokens_.refuse("{% " + name + " %} stands in no loop", tag.place);
      return make(name == "break" ? Kind::kBreak : Kind::kContinue, tag.place);
    }
    static const std::set<std::string> kRefused = {"block",  "extends", "include",
                                                   "import", "from",    "autoescape"};
    if (kRefused.contains(name)) {
      tokens_.refuse("{% " + name + " %} is not supported in chat templates", tag.place);
    }
    std::string message = "unknown tag '" + name + "'";
    if (ends.size() > 0) message += "; {% " + std::string(*(ends.end() - 1)) + " %} is open";
    tokens_.refuse(message, tag.place);
  }

  StatementPtr for_loop(const Token& tag) {
    StatementPtr node = make(Kind::kFor, tag.place);
    node->target = expressions_.target(/*with_namespace=*/false, "in");
    tokens_.expect_name("in");
    node->value = expressions_.tuple(/*with_conditional=*/false, "recursive");
    if (tokens_.skip_name("if")) node->test = expressions_.expression();
    node->recursive = tokens_.skip_name("recursive");
    ++loops_;
    node->body = body_of_tag({"else", "endfor"});
    --loops_;
    if (tokens_.next().text == "else") node->else_body = body_to("endfor");
    return node;
  }

  StatementPtr if_chain(const Token& tag) {
    StatementPtr node = make(Kind::kIf, tag.place);
    while (true) {
      node->expressions.push_back(expressions_.tuple(/*with_conditional=*/false));
      node->bodies.push_back(body_of_tag({"elif", "else", "endif"}));
      const std::string end = tokens_.next().text;
      if (end == "elif") continue;
      if (end == "else") node->else_body = body_to("endif");
      return node;
    }
  }

  StatementPtr assignment(const Token& tag) {
    StatementPtr node = make(Kind::kSet, tag.place);
    node->target = expressions_.target(/*with_namespace=*/true);
    if (tokens_.skip_operator("=")) {
      node->value = expressions_.tuple();
      return node;
    }
    node->kind = Kind::kSetBlock;
    node->filter = expressions_.filters(nullptr, /*starts_inline=*/false);
    node->body = body_to("endset");
    return node;
  }

  int parameter_name() {
    return tokens_.symbol_of(tokens_.expect(Token::Kind::kName, "the name of a parameter").text);
  }

  void signature(Signature& signature) {
    tokens_.expect_operator("(");
    while (!tokens_.is_operator(")")) {
      if (!signature.parameters.empty()) tokens_.expect_operator(",");
      signature.parameters.push_back(parameter_name());
      if (tokens_.skip_operator("=")) {
        signature.defaults.push_back(expressions_.expression());
      } else if (!signature.defaults.empty()) {
        tokens_.refuse("a parameter without default stands behind one with a default",
                       tokens_.current().place);
      }
    }
    tokens_.expect_operator(")");
  }

  // The body of a macro, where loops outside cannot be left, and what it asks for by name.
  void function_body(std::string_view end, Statement& node) {
    const int loops = std::exchange(loops_, 0);
    std::set<std::string> outside = std::exchange(expressions_.mentions(), {});
    node.body = body_to(end);
    std::set<std::string>& inside = expressions_.mentions();
    node.signature.uses_caller = inside.contains("caller");
    node.signature.uses_varargs = inside.contains("varargs");
    node.signature.uses_kwargs = inside.contains("kwargs");
    inside.merge(outside);
    loops_ = loops;
  }

  StatementPtr macro(const Token& tag) {
    StatementPtr node = make(Kind::kMacro, tag.place);
    node->name = tokens_.expect(Token::Kind::kName, "the name of a macro").text;
    node->symbol = tokens_.symbol_of(node->name);
    signature(node->signature);
    function_body("endmacro", *node);
    return node;
  }

  StatementPtr call_block(const Token& tag) {
    StatementPtr node = make(Kind::kCallBlock, tag.place);
    if (tokens_.is_operator("(")) signature(node->signature);
    node->value = expressions_.expression();
    if (node->value->kind != Expression::Kind::kCall) {
      tokens_.refuse("{% call %} needs a call", tag.place);
    }
    function_body("endcall", *node);
    return node;
  }

  StatementPtr filter_block(const Token& tag) {
    StatementPtr node = make(Kind::kFilterBlock, tag.place);
    node->filter = expressions_.filters(nullptr, /*starts_inline=*/true);
    node->body = body_to("endfilter");
    return node;
  }

  StatementPtr with_block(const Token& tag) {
    StatementPtr node = make(Kind::kWith, tag.place);
    while (!tokens_.is(Token::Kind::kBlockEnd)) {
      if (!node->targets.empty()) tokens_.expect_operator(",");
      node->targets.push_back(expressions_.target(/*with_namespace=*/false));
      tokens_.expect_operator("=");
      node->expressions.push_back(expressions_.expression());
    }
    node->body = body_to("endwith");
    return node;
  }

  StatementPtr print(const Token& tag) {
    StatementPtr node = make(Kind::kOutput, tag.place);
    while (!tokens_.is(Token::Kind::kBlockEnd)) {
      if (!node->expressions.empty()) tokens_.expect_operator(",");
      node->expressions.push_back(expressions_.expression());
    }
    return node;
  }

  StatementPtr generation(const Token& tag) {
    StatementPtr node = make(Kind::kGeneration, tag.place);
    function_body("endgeneration", *node);
    return node;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;
  std::vector<std::pair<std::string, Place>> open_;
};

}  // namespace

Tree parse_template(std::string_view source) { return StatementParser(source).run(); }

}  // namespace shoal::model::chat
