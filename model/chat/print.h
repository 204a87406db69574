// SPDX-License-Identifier: Apache-2.0
// Values as text: str() and repr() of Python, and JSON as its json.dumps writes it. Texts within
// keep their marks; what is put around them is trusted.
#pragma once

#include <optional>
#include <string>

#include "model/chat/value.h"

namespace shoal::model::chat {

void append_text(const Value& value, TextBuilder* out, Budget& budget);  // str()
void append_repr(const Value& value, TextBuilder* out, Budget& budget);
Text to_text(const Value& value, Budget& budget);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // of one level; nullopt: all in one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
void append_json(const Value& value, const JsonStyle& style, TextBuilder* out, Budget& budget);

}  // namespace shoal::model::chat
