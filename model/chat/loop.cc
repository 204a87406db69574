// SPDX-License-Identifier: Apache-2.0
#include "model/chat/loop.h"

#include <utility>

#include "model/chat/compare.h"
#include "model/chat/interpreter.h"

namespace shoal::model::chat {

Loop::Loop(Items items, Accept accept, Recurse recurse, int nesting, Budget* budget)
    : items_(std::move(items)),
      accept_(std::move(accept)),
      recurse_(std::move(recurse)),
      nesting_(nesting),
      charge_(budget, sizeof(Loop) + items_.size() * sizeof(Value)) {
  depth = checked_depth(1 + depth_of(items_));
  if (!accept_) length_ = static_cast<std::int64_t>(items_.size());
}

std::optional<Value> Loop::pull() {
  while (next_ < items_.size()) {
    const Value& candidate = items_[next_++];
    if (!accept_ || accept_(candidate)) return candidate;
  }
  return std::nullopt;
}

const std::optional<Value>& Loop::peek() {
  if (!after_) after_ = pull();
  return after_;
}

bool Loop::advance() {
  std::optional<Value> next = after_ ? std::exchange(after_, std::nullopt) : pull();
  if (!next) return false;
  ++index_;
  before_ = std::exchange(current_, std::move(*next));
  return true;
}

void Loop::detach() {
  accept_ = nullptr;
  recurse_ = nullptr;
  if (!length_) length_ = index_ + 1;
  next_ = items_.size();
}

std::optional<std::int64_t> Loop::length() {
  if (!length_) {
    Items rest;
    while (std::optional<Value> item = pull()) rest.push_back(std::move(*item));
    length_ = static_cast<std::int64_t>(rest.size()) + index_ + 1 + (after_ ? 1 : 0);
    items_ = std::move(rest);
    next_ = 0;
    accept_ = nullptr;
  }
  return length_;
}

Value Loop::call(Interpreter&, Arguments arguments) {
  if (!recurse_) fail("the loop must have the 'recursive' marker to be called recursively");
  if (arguments.positional.size() != 1 || !arguments.named.empty()) {
    fail("loop() takes what it goes through, and nothing else");
  }
  return recurse_(std::move(arguments.positional[0]), nesting_ + 1);
}

bool Loop::changed(Items values, Budget& budget) {
  if (last_changed_ && last_changed_->size() == values.size()) {
    bool same = true;
    for (std::size_t i = 0; same && i < values.size(); ++i) {
      same = equals((*last_changed_)[i], values[i], &budget);
    }
    if (same) return false;
  }
  depth = checked_depth(std::max(depth, 1 + depth_of(values)));
  last_changed_ = std::move(values);
  return true;
}

std::optional<Value> Loop::attribute(Interpreter& interpreter, std::string_view name) {
  const auto self = shared_from_this();
  if (name == "index") return Value(index_ + 1);
  if (name == "index0") return Value(index_);
  if (name == "first") return Value(index_ == 0);
  if (name == "last") return Value(!peek().has_value());
  if (name == "length") return Value(*length());
  if (name == "revindex") return Value(*length() - index_);
  if (name == "revindex0") return Value(*length() - index_ - 1);
  if (name == "depth") return Value(std::int64_t{nesting_ + 1});
  if (name == "depth0") return Value(std::int64_t{nesting_});
  if (name == "previtem") {
    return index_ == 0 ? Value::undefined("there is no previous item") : before_;
  }
  if (name == "nextitem") {
    return peek() ? *peek() : Value::undefined("there is no next item");
  }
  const auto method = [&](Function::Body body) { return function(std::move(body), depth); };
  if (name == "cycle") {
    return method([self, this](Interpreter&, Arguments arguments) {
      Items& items = arguments.positional;
      if (items.empty()) fail("no items for cycling given");
      return items[static_cast<std::size_t>(index_) % items.size()];
    });
  }
  if (name == "changed") {
    return method([self, this](Interpreter& runner, Arguments arguments) {
      return Value(changed(std::move(arguments.positional), runner.budget()));
    });
  }
  interpreter.budget().spend(1);
  return std::nullopt;
}

}  // namespace shoal::model::chat
