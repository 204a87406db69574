// SPDX-License-Identifier: Apache-2.0
// Post-processors of tokenizer.json: TemplateProcessing (what stands before and behind the text),
// ByteLevel (offsets only, nothing for us), and Sequence of them. Immutable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/tokenizer/json_reader.h"

namespace shoal::model {

class PostProcessor {
 public:
  // null means none. After an error in *status the object is of no use.
  static PostProcessor parse(const Json& value, const std::string& place, absl::Status* status);
  std::vector<std::int32_t> apply(std::vector<std::int32_t> ids, bool add_special_tokens) const;
  const std::vector<std::int32_t>& before() const { return before_; }
  const std::vector<std::int32_t>& after() const { return after_; }

 private:
  void add(const Json& value, const std::string& place, int depth, absl::Status* status);
  void add_template(ObjectReader& reader);

  bool has_template_ = false;
  std::vector<std::int32_t> before_;
  std::vector<std::int32_t> after_;
};

}  // namespace shoal::model
