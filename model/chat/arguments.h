// SPDX-License-Identifier: Apache-2.0
// The arguments of a function by the names of its parameters, as Python binds them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat/value.h"

namespace shoal::model::chat {

class Bound {
 public:
  // `function` begins the errors. The first `required` parameters must be given; names that begin
  // with '/' are taken by position only.
  Bound(std::string_view function, Arguments arguments,
        std::initializer_list<std::string_view> parameters, std::size_t required = 0);

  bool has(std::size_t index) const { return given_[index]; }
  const Value& operator[](std::size_t index) const { return values_[index]; }
  // With the value of Python's default; a wrong type fails.
  std::int64_t integer(std::size_t index, std::int64_t fallback) const;
  bool truth(std::size_t index, bool fallback) const;
  const Text& text(std::size_t index) const;  // required to be one
  bool has_text(std::size_t index) const;     // false where it is not given, or none

 private:
  [[noreturn]] void fail_type(std::size_t index, const char* expected) const;

  std::string function_;
  std::vector<Value> values_;
  std::vector<bool> given_;
  std::vector<std::string> names_;
};

}  // namespace shoal::model::chat
