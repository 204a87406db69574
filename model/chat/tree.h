// SPDX-License-Identifier: Apache-2.0
// A parsed template. Immutable, may be shared by threads. No node is nested deeper than
// kMaxTreeDepth, so walking and destroying a tree may be recursive.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/chat/budget.h"
#include "model/chat/value.h"

namespace shoal::model::chat {

inline constexpr int kMaxTreeDepth = 120;

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class Operator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
};

struct CallParts {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;       // *list
  ExpressionPtr star_star;  // **dict
};

struct Expression {
  enum class Kind {
    kConstant,     // constant
    kName,         // symbol
    kTuple,        // parts
    kList,         // parts
    kDict,         // parts: key, value, key, value ...
    kAttribute,    // parts[0].name
    kItem,         // parts[0][parts[1]]
    kSlice,        // parts[0][parts[1]:parts[2]:parts[3]], each of the three may be null
    kCall,         // parts[0](call)
    kFilter,       // parts[0]|name(call); parts[0] is null in a filter block
    kTest,         // parts[0] is name(call)
    kConditional,  // parts[0] if parts[1] else parts[2], which may be null
    kAnd,
    kOr,
    kNot,
    kNegative,
    kPositive,
    kBinary,   // parts[0] op parts[1]
    kConcat,   // parts, by ~
    kCompare,  // parts[0] ops[0] parts[1] ops[1] parts[2] ...
    // Targets of assignments are kName, kTuple, or:
    kNamespaceItem,  // symbol.name
  };
  Kind kind = Kind::kConstant;
  Place place;
  int depth = 1;
  Value constant;
  int symbol = -1;  // index into Tree::names
  std::string name;
  Operator op = Operator::kAdd;
  std::vector<Operator> ops;
  std::vector<ExpressionPtr> parts;
  CallParts call;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Signature {
  std::vector<int> parameters;          // symbols
  std::vector<ExpressionPtr> defaults;  // of the last parameters
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Statement {
  enum class Kind {
    kData,         // data
    kOutput,       // expressions
    kFor,          // target in value, if test; body, else_body
    kIf,           // expressions[i]: bodies[i]; else_body
    kSet,          // target = value
    kSetBlock,     // target = body through filter, which may be null
    kMacro,        // symbol, signature, body
    kCallBlock,    // value is the call, signature and body the caller
    kFilterBlock,  // filter, body
    kWith,         // targets = expressions, body
    kGeneration,   // body
    kBreak,
    kContinue,
  };
  Kind kind = Kind::kData;
  Place place;
  Text data;
  std::vector<ExpressionPtr> expressions;
  std::vector<ExpressionPtr> targets;
  ExpressionPtr target;
  ExpressionPtr value;
  ExpressionPtr test;
  ExpressionPtr filter;
  bool recursive = false;
  int symbol = -1;
  std::string name;
  Signature signature;
  Body body;
  std::vector<Body> bodies;
  Body else_body;
};

struct Tree {
  Body body;
  std::vector<std::string> names;     // by symbol
  std::vector<std::string> literals;  // its strings, for what the template itself names
  int loop = 0;                       // symbols of these names
  int caller = 0;
  int varargs = 0;
  int kwargs = 0;
};

}  // namespace shoal::model::chat
