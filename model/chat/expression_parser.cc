// SPDX-License-Identifier: Apache-2.0
#include "model/chat/expression_parser.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace shoal::model::chat {
namespace {

const char* kTooDeep = "this expression is nested too deep; split it by {% set %}";

std::vector<ExpressionPtr> parts_of(ExpressionPtr first, ExpressionPtr second) {
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(first));
  if (second != nullptr) parts.push_back(std::move(second));
  return parts;
}

std::optional<Operator> comparison_of(const Token& token) {
  if (token.kind != Token::Kind::kOperator) return std::nullopt;
  if (token.text == "==") return Operator::kEqual;
  if (token.text == "!=") return Operator::kNotEqual;
  if (token.text == "<") return Operator::kLess;
  if (token.text == "<=") return Operator::kLessEqual;
  if (token.text == ">") return Operator::kGreater;
  if (token.text == ">=") return Operator::kGreaterEqual;
  return std::nullopt;
}

}  // namespace

// Parsing is recursive: it must end before the stack does.
class ExpressionParser::Depth {
 public:
  explicit Depth(ExpressionParser& parser) : parser_(parser) {
    if (++parser_.depth_ > kMaxTreeDepth) {
      --parser_.depth_;
      parser_.tokens_.refuse(kTooDeep, parser_.tokens_.current().place);
    }
  }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  ~Depth() { --parser_.depth_; }

 private:
  ExpressionParser& parser_;
};

void ExpressionParser::measure(Expression& node) {
  const auto take = [&](const ExpressionPtr& part) {
    if (part != nullptr) node.depth = std::max(node.depth, part->depth + 1);
  };
  for (const ExpressionPtr& part : node.parts) take(part);
  for (const ExpressionPtr& part : node.call.positional) take(part);
  for (const auto& entry : node.call.named) take(entry.second);
  take(node.call.star);
  take(node.call.star_star);
  if (node.depth > kMaxTreeDepth) tokens_.refuse(kTooDeep, node.place);
}

ExpressionPtr ExpressionParser::make(Kind kind, Place place, std::vector<ExpressionPtr> parts) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->place = place;
  node->parts = std::move(parts);
  measure(*node);
  return node;
}

ExpressionPtr ExpressionParser::make(Kind kind, Place place, ExpressionPtr first,
                                     ExpressionPtr second) {
  return make(kind, place, parts_of(std::move(first), std::move(second)));
}

ExpressionPtr ExpressionParser::binary(Operator op, Place place, ExpressionPtr left,
                                       ExpressionPtr right) {
  ExpressionPtr node = make(Kind::kBinary, place, std::move(left), std::move(right));
  node->op = op;
  return node;
}

ExpressionPtr ExpressionParser::conditional() {
  const Depth depth(*this);
  ExpressionPtr node = alternative();
  while (tokens_.is_name("if")) {
    const Place place = tokens_.next().place;
    std::vector<ExpressionPtr> parts = parts_of(std::move(node), alternative());
    parts.push_back(tokens_.skip_name("else") ? conditional() : nullptr);
    node = make(Kind::kConditional, place, std::move(parts));
  }
  return node;
}

ExpressionPtr ExpressionParser::alternative() {
  ExpressionPtr node = conjunction();
  while (tokens_.is_name("or")) {
    const Place place = tokens_.next().place;
    node = make(Kind::kOr, place, std::move(node), conjunction());
  }
  return node;
}

ExpressionPtr ExpressionParser::conjunction() {
  ExpressionPtr node = negation();
  while (tokens_.is_name("and")) {
    const Place place = tokens_.next().place;
    node = make(Kind::kAnd, place, std::move(node), negation());
  }
  return node;
}

ExpressionPtr ExpressionParser::negation() {
  if (!tokens_.is_name("not")) return comparison();
  const Depth depth(*this);
  const Place place = tokens_.next().place;
  return make(Kind::kNot, place, negation());
}

ExpressionPtr ExpressionParser::comparison() {
  std::vector<ExpressionPtr> parts;
  std::vector<Operator> ops;
  const Place place = tokens_.current().place;
  parts.push_back(sum_of());
  while (true) {
    if (const std::optional<Operator> op = comparison_of(tokens_.current())) {
      tokens_.next();
      ops.push_back(*op);
    } else if (tokens_.skip_name("in")) {
      ops.push_back(Operator::kIn);
    } else if (tokens_.is_name("not") && TokenStream::is_name(tokens_.ahead(), "in")) {
      tokens_.next();
      tokens_.next();
      ops.push_back(Operator::kNotIn);
    } else {
      break;
    }
    parts.push_back(sum_of());
  }
  if (ops.empty()) return std::move(parts.front());
  ExpressionPtr node = make(Kind::kCompare, place, std::move(parts));
  node->ops = std::move(ops);
  return node;
}

ExpressionPtr ExpressionParser::sum_of() {
  ExpressionPtr node = concatenation();
  while (tokens_.is_operator("+") || tokens_.is_operator("-")) {
    const Token token = tokens_.next();
    node = binary(token.text == "+" ? Operator::kAdd : Operator::kSubtract, token.place,
                  std::move(node), concatenation());
  }
  return node;
}

ExpressionPtr ExpressionParser::concatenation() {
  const Place place = tokens_.current().place;
  std::vector<ExpressionPtr> parts;
  parts.push_back(product_of());
  while (tokens_.skip_operator("~")) parts.push_back(product_of());
  if (parts.size() == 1) return std::move(parts.front());
  return make(Kind::kConcat, place, std::move(parts));
}

ExpressionPtr ExpressionParser::product_of() {
  ExpressionPtr node = power_of();
  while (true) {
    Operator op = Operator::kMultiply;
    if (tokens_.is_operator("/")) {
      op = Operator::kDivide;
    } else if (tokens_.is_operator("//")) {
      op = Operator::kFloorDivide;
    } else if (tokens_.is_operator("%")) {
      op = Operator::kModulo;
    } else if (!tokens_.is_operator("*")) {
      return node;
    }
    const Place place = tokens_.next().place;
    node = binary(op, place, std::move(node), power_of());
  }
}

ExpressionPtr ExpressionParser::power_of() {
  ExpressionPtr node = unary();
  while (tokens_.is_operator("**")) {
    const Place place = tokens_.next().place;
    node = binary(Operator::kPower, place, std::move(node), unary());
  }
  return node;
}

ExpressionPtr ExpressionParser::unary(bool with_filter) {
  ExpressionPtr node;
  const Place place = tokens_.current().place;
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const Depth depth(*this);
    const Kind kind = tokens_.next().text == "-" ? Kind::kNegative : Kind::kPositive;
    node = make(kind, place, unary(false));
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filter ? filter_or_test(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::primary(bool with_namespace) {
  const Token& token = tokens_.current();
  ExpressionPtr node = make(Kind::kConstant, token.place);
  switch (token.kind) {
    case Token::Kind::kName: {
      const std::string name = tokens_.next().text;
      if (name == "true" || name == "True" || name == "false" || name == "False") {
        node->constant = Value(name == "true" || name == "True");
      } else if (name != "none" && name != "None") {
        node->symbol = tokens_.symbol_of(name);
        node->kind = Kind::kName;
        if (with_namespace && tokens_.skip_operator(".")) {
          node->kind = Kind::kNamespaceItem;
          node->name = tokens_.expect(Token::Kind::kName, "the name of an attribute").text;
        } else {
          mentions_.insert(name);
        }
      }
      return node;
    }
    case Token::Kind::kString: {
      std::string text = tokens_.next().text;
      while (tokens_.is(Token::Kind::kString)) text += tokens_.next().text;
      literals_.insert(text);
      node->constant = Value(Text(std::move(text), /*trusted=*/true, nullptr));
      return node;
    }
    case Token::Kind::kInteger:
      node->constant = Value(tokens_.next().integer);
      return node;
    case Token::Kind::kFloat:
      node->constant = Value(tokens_.next().number);
      return node;
    case Token::Kind::kOperator:
      if (tokens_.skip_operator("(")) {
        node = tuple(/*with_conditional=*/true, {}, /*in_parentheses=*/true);
        tokens_.expect_operator(")");
        return node;
      }
      if (tokens_.is_operator("[")) return list();
      if (tokens_.is_operator("{")) return dict();
      [[fallthrough]];
    default:
      tokens_.refuse_current("an expression");
  }
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view end_name,
                                      bool in_parentheses) {
  const Place place = tokens_.current().place;
  std::vector<ExpressionPtr> parts;
  bool is_tuple = false;
  while (true) {
    if (!parts.empty()) tokens_.expect_operator(",");
    if (tokens_.is(Token::Kind::kVariableEnd) || tokens_.is(Token::Kind::kBlockEnd) ||
        tokens_.is_operator(")") || (!end_name.empty() && tokens_.is_name(end_name))) {
      break;
    }
    parts.push_back(with_conditional ? conditional() : alternative());
    if (!tokens_.is_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !parts.empty()) return std::move(parts.front());
  if (!is_tuple && !in_parentheses) tokens_.refuse_current("an expression");
  return make(Kind::kTuple, place, std::move(parts));
}

void ExpressionParser::check_target(const Expression& node) {
  if (node.kind == Kind::kTuple) {
    for (const ExpressionPtr& part : node.parts) check_target(*part);
  } else if (node.kind != Kind::kName && node.kind != Kind::kNamespaceItem) {
    tokens_.refuse("this cannot be assigned to", node.place);
  }
}

ExpressionPtr ExpressionParser::target(bool with_namespace, std::string_view end_name) {
  const Place place = tokens_.current().place;
  const std::set<std::string> mentioned = mentions_;  // a target is no mention
  std::vector<ExpressionPtr> parts;
  bool is_tuple = false;
  while (true) {
    if (!parts.empty()) tokens_.expect_operator(",");
    if (tokens_.is(Token::Kind::kBlockEnd) || (!end_name.empty() && tokens_.is_name(end_name)))
      break;
    parts.push_back(primary(with_namespace));
    if (!tokens_.is_operator(",")) break;
    is_tuple = true;
  }
  mentions_ = mentioned;
  if (parts.empty()) tokens_.refuse_current("a name");
  ExpressionPtr node =
      is_tuple ? make(Kind::kTuple, place, std::move(parts)) : std::move(parts.front());
  check_target(*node);
  return node;
}

ExpressionPtr ExpressionParser::list() {
  const Place place = tokens_.next().place;
  std::vector<ExpressionPtr> parts;
  while (!tokens_.is_operator("]")) {
    if (!parts.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("]")) break;
    parts.push_back(expression());
  }
  tokens_.expect_operator("]");
  return make(Kind::kList, place, std::move(parts));
}

ExpressionPtr ExpressionParser::dict() {
  const Place place = tokens_.next().place;
  std::vector<ExpressionPtr> parts;
  while (!tokens_.is_operator("}")) {
    if (!parts.empty()) tokens_.expect_operator(",");
    if (tokens_.is_operator("}")) break;
    parts.push_back(expression());
    tokens_.expect_operator(":");
    parts.push_back(expression());
  }
  tokens_.expect_operator("}");
  return make(Kind::kDict, place, std::move(parts));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  while (true) {
    if (tokens_.is_operator(".") || tokens_.is_operator("[")) {
      node = subscript(std::move(node));
    } else if (tokens_.is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filter_or_test(ExpressionPtr node) {
  while (true) {
    if (tokens_.is_operator("|")) {
      node = filters(std::move(node), /*starts_inline=*/false);
    } else if (tokens_.is_name("is")) {
      node = test(std::move(node));
    } else if (tokens_.is_operator("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const Token token = tokens_.next();
  if (token.text == ".") {
    if (tokens_.is(Token::Kind::kName)) {
      node = make(Kind::kAttribute, token.place, std::move(node));
      node->name = tokens_.next().text;
      return node;
    }
    const Token index = tokens_.expect(Token::Kind::kInteger, "a name or a number");
    ExpressionPtr constant = make(Kind::kConstant, index.place);
    constant->constant = Value(index.integer);
    return make(Kind::kItem, token.place, std::move(node), std::move(constant));
  }
  node = subscribed(std::move(node), token.place);
  if (tokens_.is_operator(",")) {
    tokens_.refuse("several subscripts are not supported", tokens_.current().place);
  }
  tokens_.expect_operator("]");
  return node;
}

ExpressionPtr ExpressionParser::subscribed(ExpressionPtr node, Place place) {
  ExpressionPtr first;
  if (!tokens_.is_operator(":")) {
    first = expression();
    if (!tokens_.is_operator(":")) {
      return make(Kind::kItem, place, std::move(node), std::move(first));
    }
  }
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(node));
  parts.push_back(std::move(first));
  for (int i = 0; i < 2; ++i) {
    const bool given = tokens_.skip_operator(":");
    const bool is_empty = !given || tokens_.is_operator(":") || tokens_.is_operator("]");
    parts.push_back(is_empty ? nullptr : expression());
  }
  return make(Kind::kSlice, place, std::move(parts));
}

CallParts ExpressionParser::call_parts() {
  const Place place = tokens_.current().place;
  tokens_.expect_operator("(");
  CallParts parts;
  const auto ensure = [&](bool good) {
    if (!good) tokens_.refuse("invalid syntax for function call expression", place);
  };
  bool needs_comma = false;
  while (!tokens_.is_operator(")")) {
    if (needs_comma) {
      tokens_.expect_operator(",");
      if (tokens_.is_operator(")")) break;
    }
    needs_comma = true;
    if (tokens_.is_operator("*")) {
      ensure(parts.star == nullptr && parts.star_star == nullptr);
      tokens_.next();
      parts.star = expression();
    } else if (tokens_.is_operator("**")) {
      ensure(parts.star_star == nullptr);
      tokens_.next();
      parts.star_star = expression();
    } else if (tokens_.is(Token::Kind::kName) && TokenStream::is_operator(tokens_.ahead(), "=")) {
      ensure(parts.star_star == nullptr);
      std::string name = tokens_.next().text;
      tokens_.next();
      for (const auto& entry : parts.named) ensure(entry.first != name);
      parts.named.emplace_back(std::move(name), expression());
    } else {
      ensure(parts.star == nullptr && parts.star_star == nullptr && parts.named.empty());
      parts.positional.push_back(expression());
    }
  }
  tokens_.expect_operator(")");
  return parts;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr node) {
  const Place place = tokens_.current().place;
  node = make(Kind::kCall, place, std::move(node));
  node->call = call_parts();
  measure(*node);
  return node;
}

std::string ExpressionParser::dotted_name() {
  std::string name = tokens_.expect(Token::Kind::kName, "a name").text;
  while (tokens_.skip_operator(".")) {
    name += "." + tokens_.expect(Token::Kind::kName, "a name").text;
  }
  return name;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr node, bool starts_inline) {
  while (starts_inline || tokens_.is_operator("|")) {
    if (!starts_inline) tokens_.next();
    starts_inline = false;
    const Place place = tokens_.current().place;
    node = make(Kind::kFilter, place, std::move(node));
    node->name = dotted_name();
    if (tokens_.is_operator("(")) node->call = call_parts();
    measure(*node);
  }
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr node) {
  const Place place = tokens_.next().place;
  const bool is_negated = tokens_.skip_name("not");
  node = make(Kind::kTest, place, std::move(node));
  node->name = dotted_name();
  const Token& token = tokens_.current();
  const bool begins_argument =
      token.kind == Token::Kind::kName || token.kind == Token::Kind::kString ||
      token.kind == Token::Kind::kInteger || token.kind == Token::Kind::kFloat ||
      tokens_.is_operator("[") || tokens_.is_operator("{");
  if (tokens_.is_operator("(")) {
    node->call = call_parts();
  } else if (begins_argument && !tokens_.is_name("else") && !tokens_.is_name("or") &&
             !tokens_.is_name("and")) {
    if (tokens_.is_name("is")) tokens_.refuse("tests cannot be chained by is", token.place);
    node->call.positional.push_back(postfix(primary()));
  }
  measure(*node);
  return is_negated ? make(Kind::kNot, place, std::move(node)) : std::move(node);
}

}  // namespace shoal::model::chat
