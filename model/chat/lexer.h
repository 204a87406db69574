// SPDX-License-Identifier: Apache-2.0
// A template as tokens, with trim_blocks and lstrip_blocks on and one newline at the end dropped,
// as the reference sets Jinja up. Comments and raw blocks are resolved, strings unescaped. Throws
// TemplateError. Pure; linear in the length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat/budget.h"

namespace shoal::model::chat {

struct Token {
  enum class Kind {
    kData,           // text outside of tags
    kBlockBegin,     // {%
    kBlockEnd,       // %}
    kVariableBegin,  // {{
    kVariableEnd,    // }}
    kName,
    kString,
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;  // of data, names and strings; an operator as it is written
  std::int64_t integer = 0;
  double number = 0;
  Place place;
};

// Valid UTF-8. The last token is kEnd.
std::vector<Token> tokens_of(std::string_view source);

}  // namespace shoal::model::chat
