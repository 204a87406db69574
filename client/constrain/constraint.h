// SPDX-License-Identifier: Apache-2.0
// What a request may ask of the form of an answer, as plain values, and the grammar of it. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "client/constrain/grammar.h"

namespace shoal::client::constrain {

struct RegexForm {
  std::string pattern;  // of the whole text
};
struct ChoiceForm {
  std::vector<std::string> texts;
};
struct JsonForm {
  nlohmann::ordered_json schema;
};
// Calls of functions: begin, calls with `between` between them, end. A call is before NAME middle
// ARGUMENTS after. Control tokens in these texts are written by control_mark().
struct CallForm {
  std::string begin, before, middle, after, between, end;
  std::vector<std::pair<std::string, nlohmann::ordered_json>> functions;  // name, schema
  bool several = false;
};
using Form = std::variant<RegexForm, ChoiceForm, JsonForm, CallForm>;

// One of these; INVALID_ARGUMENT says what is wrong with them.
absl::StatusOr<Grammar> grammar_of(const std::vector<Form>& forms);
// Forms with the same key are the same.
std::string key_of(const std::vector<Form>& forms);

}  // namespace shoal::client::constrain
