// SPDX-License-Identifier: Apache-2.0
// A value of the template language, as Python has them: undefined, none, bool, integer (64 bits),
// float, text, list, tuple, dict in the order of insertion, namespace, iterator, object. Values are
// immutable but for namespaces, iterators and objects. Copies share. A value belongs to one
// rendering, but for the constants of a template, which threads may share.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "model/chat/budget.h"
#include "model/chat/text.h"

namespace shoal::model::chat {

class Dict;
class Interpreter;
class Object;
class Value;
struct Iterator;
struct Namespace;
struct Sequence;

using Items = std::vector<Value>;

// What a name or an attribute that is not there gives. It prints as nothing and is false; most
// else that is done with it fails with `message`.
struct Undefined {
  std::shared_ptr<const std::string> message;
};
struct None {};

class Value {
 public:
  Value() : content_(None{}) {}
  Value(None) : content_(None{}) {}                  // NOLINT: values are written as they are
  Value(bool value) : content_(value) {}             // NOLINT
  Value(std::int64_t value) : content_(value) {}     // NOLINT
  Value(double value) : content_(value) {}           // NOLINT
  Value(Text value) : content_(std::move(value)) {}  // NOLINT
  Value(std::shared_ptr<const Sequence> value);      // NOLINT
  Value(std::shared_ptr<const Dict> value);          // NOLINT
  Value(std::shared_ptr<Iterator> value);            // NOLINT
  Value(std::shared_ptr<Object> value);              // NOLINT
  Value(Namespace* value) : content_(value) {}       // NOLINT
  Value(const char*) = delete;                       // whose words are they?
  static Value undefined(std::string message);
  static Value list(Items items, Budget* budget);
  static Value tuple(Items items, Budget* budget);
  static Value iterator(Items items, Budget* budget);

  bool is_undefined() const { return std::holds_alternative<Undefined>(content_); }
  bool is_none() const { return std::holds_alternative<None>(content_); }
  bool is_bool() const { return std::holds_alternative<bool>(content_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(content_); }
  bool is_float() const { return std::holds_alternative<double>(content_); }
  bool is_number() const { return is_integer() || is_float() || is_bool(); }

  const Text* text() const { return std::get_if<Text>(&content_); }
  const Sequence* sequence() const { return shared<const Sequence>(); }
  const Dict* dict() const { return shared<const Dict>(); }
  Iterator* iterator() const { return shared<Iterator>(); }
  Object* object() const { return shared<Object>(); }
  Namespace* ns() const {
    const auto* found = std::get_if<Namespace*>(&content_);
    return found == nullptr ? nullptr : *found;
  }
  std::string undefined_message() const;
  // Of a bool too, as in Python.
  std::optional<std::int64_t> as_integer() const;
  std::optional<double> as_double() const;

  bool truthy() const;
  const char* type_name() const;  // as Python says it: "str", "list" ...
  // How deep lists and dicts are nested in it.
  int depth() const;
  bool same_as(const Value& other) const;  // `is` of Python

 private:
  template <typename T>
  T* shared() const {
    const auto* found = std::get_if<std::shared_ptr<T>>(&content_);
    return found == nullptr ? nullptr : found->get();
  }

  std::variant<Undefined, None, bool, std::int64_t, double, Text, std::shared_ptr<const Sequence>,
               std::shared_ptr<const Dict>, std::shared_ptr<Iterator>, std::shared_ptr<Object>,
               Namespace*>
      content_;
};

inline constexpr int kMaxValueDepth = 100;  // destroying and printing a value is recursive
int checked_depth(int depth);               // fails above it
int depth_of(const Items& items);           // of what holds them, checked

struct Sequence {
  enum class Kind { kList, kTuple, kRange, kKeys, kValues, kItems };
  Sequence(Kind kind, Items items, Budget* budget);

  Kind kind;
  Items items;
  std::string shown;  // of a range
  int depth;
  Charge charge;
};

class Dict {
 public:
  explicit Dict(Budget* budget) : charge_(budget, sizeof(Dict)) {}

  // Only while it is made. A key that is there keeps its place.
  void set(const Value& key, Value value);
  const Value* find(const Value& key) const;  // fails for a key that Python cannot hash
  const Value* find(std::string_view key) const;
  const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
  int depth() const { return depth_; }

 private:
  std::optional<std::size_t> place_of(const Value& key) const;
  std::optional<std::size_t> place_of(std::string_view key) const;

  Charge charge_;
  std::vector<std::pair<Value, Value>> entries_;
  absl::flat_hash_map<std::string_view, std::size_t> by_text_;  // once there are several
  int depth_ = 1;
};

// What can be gone through once: map, select and the like, reversed.
struct Iterator {
  Iterator(Items items, Budget* budget);
  Items items;
  std::size_t next = 0;
  int depth;
  Charge charge;
};

// Owned by the interpreter: it may hold itself.
struct Namespace {
  explicit Namespace(Budget* budget) : charge(budget, sizeof(Namespace)) {}
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);

  std::vector<std::pair<std::string, Value>> attributes;
  Charge charge;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Functions, macros, methods, `loop`, cyclers.
class Object : public std::enable_shared_from_this<Object> {
 public:
  virtual ~Object() = default;
  virtual const char* type_name() const = 0;
  virtual bool is_callable() const { return true; }
  virtual Value call(Interpreter& interpreter, Arguments arguments);
  virtual std::optional<Value> attribute(Interpreter& interpreter, std::string_view name);
  virtual std::optional<std::int64_t> length() { return std::nullopt; }

  int depth = 1;  // more where it holds values that are nested
};

class Function : public Object {
 public:
  using Body = std::function<Value(Interpreter&, Arguments)>;
  Function(Body body, int held_depth) : body_(std::move(body)) { depth = held_depth + 1; }
  const char* type_name() const override { return "function"; }
  Value call(Interpreter& interpreter, Arguments arguments) override {
    return body_(interpreter, std::move(arguments));
  }

 private:
  Body body_;
};

// held_depth: that of the values that the body holds.
Value function(Function::Body body, int held_depth = 0);
bool is_hashable(const Value& key);

}  // namespace shoal::model::chat
