// SPDX-License-Identifier: Apache-2.0
#include "model/chat/value.h"

#include <algorithm>

#include "model/chat/compare.h"

namespace shoal::model::chat {
namespace {

constexpr std::size_t kIndexFrom = 8;  // entries: below, going through them is faster

}  // namespace

int checked_depth(int depth) {
  if (depth > kMaxValueDepth) {
    throw TemplateError(TemplateError::Kind::kExhausted,
                        "lists and dicts are nested more than " + std::to_string(kMaxValueDepth) +
                            " deep; the template cannot be rendered for this conversation");
  }
  return depth;
}

int depth_of(const Items& items) {
  int depth = 1;
  for (const Value& item : items) depth = std::max(depth, 1 + item.depth());
  return checked_depth(depth);
}

Value::Value(std::shared_ptr<const Sequence> value) : content_(std::move(value)) {}
Value::Value(std::shared_ptr<const Dict> value) : content_(std::move(value)) {}
Value::Value(std::shared_ptr<Iterator> value) : content_(std::move(value)) {}
Value::Value(std::shared_ptr<Object> value) : content_(std::move(value)) {}

Value Value::undefined(std::string message) {
  Value value;
  value.content_ = Undefined{std::make_shared<const std::string>(std::move(message))};
  return value;
}

Value Value::list(Items items, Budget* budget) {
  return Value(std::make_shared<const Sequence>(Sequence::Kind::kList, std::move(items), budget));
}

Value Value::tuple(Items items, Budget* budget) {
  return Value(std::make_shared<const Sequence>(Sequence::Kind::kTuple, std::move(items), budget));
}

Value Value::iterator(Items items, Budget* budget) {
  return Value(std::make_shared<Iterator>(std::move(items), budget));
}

std::string Value::undefined_message() const {
  const auto* found = std::get_if<Undefined>(&content_);
  return found == nullptr ? "" : *found->message;
}

std::optional<std::int64_t> Value::as_integer() const {
  if (const auto* value = std::get_if<std::int64_t>(&content_)) return *value;
  if (const auto* value = std::get_if<bool>(&content_)) return *value ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::as_double() const {
  if (const auto* value = std::get_if<double>(&content_)) return *value;
  if (const std::optional<std::int64_t> value = as_integer()) return static_cast<double>(*value);
  return std::nullopt;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (const std::optional<std::int64_t> value = as_integer()) return *value != 0;
  if (is_float()) return *as_double() != 0;
  if (const Text* value = text()) return !value->empty();
  if (const Sequence* value = sequence()) return !value->items.empty();
  if (const Dict* value = dict()) return !value->entries().empty();
  if (Object* value = object()) return value->length().value_or(1) != 0;
  return true;
}

const char* Value::type_name() const {
  if (is_undefined()) return "Undefined";
  if (is_none()) return "NoneType";
  if (is_bool()) return "bool";
  if (is_integer()) return "int";
  if (is_float()) return "float";
  if (text() != nullptr) return "str";
  if (const Sequence* value = sequence()) {
    switch (value->kind) {
      case Sequence::Kind::kList:
        return "list";
      case Sequence::Kind::kTuple:
        return "tuple";
      case Sequence::Kind::kRange:
        return "range";
      case Sequence::Kind::kKeys:
        return "dict_keys";
      case Sequence::Kind::kValues:
        return "dict_values";
      case Sequence::Kind::kItems:
        return "dict_items";
    }
  }
  if (dict() != nullptr) return "dict";
  if (iterator() != nullptr) return "generator";
  if (ns() != nullptr) return "Namespace";
  return object()->type_name();
}

int Value::depth() const {
  if (const Sequence* value = sequence()) return value->depth;
  if (const Dict* value = dict()) return value->depth();
  if (const Iterator* value = iterator()) return value->depth;
  if (const Object* value = object()) return value->depth;
  return 0;
}

bool Value::same_as(const Value& other) const {
  if (content_.index() != other.content_.index()) return false;
  if (is_none()) return true;
  if (is_undefined()) return false;
  if (sequence() != nullptr) return sequence() == other.sequence();
  if (dict() != nullptr) return dict() == other.dict();
  if (iterator() != nullptr) return iterator() == other.iterator();
  if (object() != nullptr) return object() == other.object();
  if (ns() != nullptr) return ns() == other.ns();
  if (const Text* value = text()) return value->bytes() == other.text()->bytes();
  return as_double() == other.as_double();
}

Sequence::Sequence(Kind kind, Items list, Budget* budget)
    : kind(kind),
      items(std::move(list)),
      depth(depth_of(items)),
      charge(budget, sizeof(Sequence) + items.size() * sizeof(Value)) {}

Iterator::Iterator(Items list, Budget* budget)
    : items(std::move(list)),
      depth(depth_of(items)),
      charge(budget, sizeof(Iterator) + items.size() * sizeof(Value)) {}

std::optional<std::size_t> Dict::place_of(std::string_view key) const {
  if (!by_text_.empty()) {
    const auto found = by_text_.find(key);
    if (found == by_text_.end()) return std::nullopt;
    return found->second;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Text* text = entries_[i].first.text();
    if (text != nullptr && text->bytes() == key) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> Dict::place_of(const Value& key) const {
  if (const Text* text = key.text()) return place_of(text->bytes());
  if (!is_hashable(key)) fail(std::string("unhashable type: '") + key.type_name() + "'");
  if (charge_.budget() != nullptr) charge_.budget()->spend(1 + entries_.size() / 4);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].first.text() == nullptr && equals(entries_[i].first, key, charge_.budget()))
      return i;
  }
  return std::nullopt;
}

void Dict::set(const Value& key, Value value) {
  depth_ = checked_depth(std::max({depth_, 1 + value.depth(), 1 + key.depth()}));
  if (const std::optional<std::size_t> place = place_of(key)) {
    entries_[*place].second = std::move(value);
    return;
  }
  charge_.add(2 * sizeof(Value) + sizeof(std::size_t) * 4);
  entries_.emplace_back(key, std::move(value));
  if (entries_.size() == kIndexFrom) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (const Text* text = entries_[i].first.text()) by_text_[text->bytes()] = i;
    }
  } else if (entries_.size() > kIndexFrom) {
    if (const Text* text = key.text()) by_text_[text->bytes()] = entries_.size() - 1;
  }
}

const Value* Dict::find(const Value& key) const {
  const std::optional<std::size_t> place = place_of(key);
  return place ? &entries_[*place].second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
  const std::optional<std::size_t> place = place_of(key);
  return place ? &entries_[*place].second : nullptr;
}

const Value* Namespace::find(std::string_view name) const {
  if (charge.budget() != nullptr) charge.budget()->spend(attributes.size() / 8);
  for (const auto& [own, value] : attributes) {
    if (own == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [own, old] : attributes) {
    if (own == name) {
      old = std::move(value);
      return;
    }
  }
  charge.add(sizeof(Value) + sizeof(std::string) + name.size());
  attributes.emplace_back(std::string(name), std::move(value));
}

Value Object::call(Interpreter&, Arguments) {  // NOLINT(performance-unnecessary-value-param)
  fail(std::string("'") + type_name() + "' object is not callable");
}

std::optional<Value> Object::attribute(Interpreter&, std::string_view) { return std::nullopt; }

Value function(Function::Body body, int held_depth) {
  return Value(std::static_pointer_cast<Object>(
      std::make_shared<Function>(std::move(body), checked_depth(held_depth))));
}

bool is_hashable(const Value& key) {
  if (key.dict() != nullptr) return false;
  const Sequence* sequence = key.sequence();
  if (sequence == nullptr) return true;
  if (sequence->kind != Sequence::Kind::kTuple && sequence->kind != Sequence::Kind::kRange)
    return false;
  return std::all_of(sequence->items.begin(), sequence->items.end(), is_hashable);
}

}  // namespace shoal::model::chat
