// SPDX-License-Identifier: Apache-2.0
// The regular expressions of tokenizer.json (Oniguruma, Ruby syntax) on PCRE2. Immutable after
// compile, may be shared by threads. Syntax whose meaning could differ between the two engines is
// refused by name.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace shoal::model {

// Oniguruma's meaning in PCRE2's spelling, or an error that names what is not supported.
absl::StatusOr<std::string> translate_regex(std::string_view pattern);

using Range = std::pair<std::size_t, std::size_t>;  // [begin, end) in bytes

class Regex {
 public:
  static absl::StatusOr<Regex> compile(std::string_view pattern);
  // All matches, in order, in valid UTF-8. An error when the engine gives up, never a silent stop.
  absl::Status find_all(std::string_view text, std::vector<Range>* matches) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

}  // namespace shoal::model
