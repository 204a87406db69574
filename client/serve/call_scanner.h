// SPDX-License-Identifier: Apache-2.0
// JSON as it comes, character by character: where a value ends, and what a call's object says.
// Plain values, no thread rule.
#pragma once

#include <string>

namespace shoal::client {

// One value that begins with { [ or ".
class JsonEnd {
 public:
  // The first character included. True: with this one the value is whole.
  bool push(char c);
  bool begun() const { return begun_; }

 private:
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false, begun_ = false;
};

// {"name": NAME, "arguments": {...}}, in any order, "parameters" as good as "arguments".
class CallScanner {
 public:
  enum class Verdict { kMore, kDone, kWrong };
  // From the { on.
  Verdict push(char c);

  bool named() const { return named_; }
  const std::string& name() const { return name_; }
  // What is known of the text of the arguments, and was not taken before.
  std::string take_arguments();

 private:
  enum class Expect { kOpen, kKey, kInKey, kColon, kValue, kInValue, kComma };
  Verdict end_value();

  Expect expect_ = Expect::kOpen;
  JsonEnd end_;
  std::string key_, value_, name_, arguments_;
  bool named_ = false, streams_ = false, has_arguments_ = false, any_ = false;
};

}  // namespace shoal::client
