// SPDX-License-Identifier: Apache-2.0
// Normalizers of tokenizer.json: NFC, Prepend, Replace, and Sequence of them. Immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/tokenizer/json_reader.h"
#include "model/tokenizer/regex.h"

namespace shoal::model {

// Canonical composition as the reference does it, n log n. Valid UTF-8 in, valid UTF-8 out.
std::string to_nfc(std::string_view text);

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

class Normalizer {
 public:
  // null means none. After an error in *status the object is of no use.
  static Normalizer parse(const Json& value, const std::string& place, absl::Status* status);
  bool empty() const { return steps_.empty(); }
  // Whether a text's first character may come from elsewhere than its beginning.
  bool moves_start() const;
  absl::Status apply(std::string* text) const;

 private:
  enum class Kind { kNfc, kPrepend, kReplace };
  struct Step {
    Kind kind;
    std::string pattern;
    std::string content;
    std::shared_ptr<const Regex> regex;  // when the pattern is one
  };
  void add(const Json& value, const std::string& place, int depth, absl::Status* status);

  std::vector<Step> steps_;
};

}  // namespace shoal::model
