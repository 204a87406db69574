// SPDX-License-Identifier: Apache-2.0
#include "model/chat/arguments.h"

#include <algorithm>
#include <utility>

namespace shoal::model::chat {

Bound::Bound(std::string_view function, Arguments arguments,
             std::initializer_list<std::string_view> parameters, std::size_t required)
    : function_(function), values_(parameters.size()), given_(parameters.size(), false) {
  for (const std::string_view name : parameters) names_.emplace_back(name);
  if (arguments.positional.size() > names_.size()) {
    fail(function_ + "() takes at most " + std::to_string(names_.size()) + " arguments (" +
         std::to_string(arguments.positional.size()) + " given)");
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = std::move(arguments.positional[i]);
    given_[i] = true;
  }
  for (auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      fail(function_ + "() got an unexpected keyword argument '" + name + "'");
    }
    const auto index = static_cast<std::size_t>(found - names_.begin());
    if (given_[index]) fail(function_ + "() got multiple values for argument '" + name + "'");
    values_[index] = std::move(value);
    given_[index] = true;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!given_[i]) fail(function_ + "() is missing its argument '" + names_[i] + "'");
  }
}

void Bound::fail_type(std::size_t index, const char* expected) const {
  const Value& value = values_[index];
  if (value.is_undefined()) fail(value.undefined_message());
  fail(function_ + "(): '" + names_[index] + "' must be " + expected + ", not " +
       value.type_name());
}

std::int64_t Bound::integer(std::size_t index, std::int64_t fallback) const {
  if (!given_[index]) return fallback;
  const std::optional<std::int64_t> value = values_[index].as_integer();
  if (!value) fail_type(index, "an integer");
  return *value;
}

bool Bound::truth(std::size_t index, bool fallback) const {
  return given_[index] ? values_[index].truthy() : fallback;
}

const Text& Bound::text(std::size_t index) const {
  const Text* text = values_[index].text();
  if (text == nullptr) fail_type(index, "a string");
  return *text;
}

bool Bound::has_text(std::size_t index) const {
  if (!given_[index] || values_[index].is_none()) return false;
  text(index);
  return true;
}

}  // namespace shoal::model::chat
