// SPDX-License-Identifier: Apache-2.0
// `loop` of a for statement: where it is, what comes next, what it calls again where it is
// recursive. Items that the loop's `if` refuses are passed over when they are reached.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "model/chat/value.h"

namespace shoal::model::chat {

class Loop : public Object {
 public:
  using Accept = std::function<bool(const Value&)>;              // empty: all
  using Recurse = std::function<Value(Value items, int depth)>;  // empty: not recursive
  Loop(Items items, Accept accept, Recurse recurse, int nesting, Budget* budget);

  bool advance();  // to the next item; false at the end
  const Value& current() const { return current_; }
  bool is_begun() const { return index_ >= 0; }
  // The statement is over: nothing is asked of it any more.
  void detach();

  const char* type_name() const override { return "LoopContext"; }
  bool is_callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments arguments) override;
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  std::optional<std::int64_t> length() override;

 private:
  const std::optional<Value>& peek();
  std::optional<Value> pull();
  bool changed(Items values, Budget& budget);

  Items items_;
  std::size_t next_ = 0;
  Accept accept_;
  Recurse recurse_;
  int nesting_;  // 0: no recursive call
  std::int64_t index_ = -1;
  std::optional<std::int64_t> length_;
  Value before_;
  Value current_;
  std::optional<Value> after_;  // peeked
  std::optional<Items> last_changed_;
  Charge charge_;
};

}  // namespace shoal::model::chat
