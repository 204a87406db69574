// SPDX-License-Identifier: Apache-2.0
// A model's text, as it comes, told apart into what it says and what it calls. Holds back only what
// may become a call. What turns out to be none is text. Plain value, no thread rule.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "client/serve/call_scanner.h"
#include "client/serve/tool_syntax.h"

namespace shoal::client {

struct ToolEvent {
  enum class Kind { kText, kCall, kArguments };
  Kind kind = Kind::kText;
  std::size_t call = 0;  // counted from 0
  std::string text;      // a call's name, a piece of its arguments, or text
};

class ToolCallStream {
 public:
  // Where a family has no marker, only an object that names one of `names` is a call. Not several:
  // calls behind the first are left out.
  ToolCallStream(ToolFamily family, std::vector<std::string> names, bool several);

  std::vector<ToolEvent> push(std::string_view piece);
  std::vector<ToolEvent> finish();
  std::size_t calls() const { return several_ || calls_ == 0 ? calls_ : 1; }

 private:
  enum class Expect { kMarker, kBare, kObject, kInObject, kName, kInArguments, kBehind, kText };
  bool marked() const { return family_ != ToolFamily::kLlama3 && family_ != ToolFamily::kJson; }
  const std::string& marker() const;
  // Each goes on as far as it can: false where it wants more text.
  bool step();
  bool find_marker();
  bool begin_bare();
  bool begin_object();
  bool scan_object();
  bool read_name();
  bool scan_arguments();
  bool pass_behind();

  std::string take(std::size_t count);
  // Of the held text from `at` on: may it become `text`?
  bool may_become(std::size_t at, std::string_view text) const;
  void say(std::string text);
  void emit(ToolEvent::Kind kind, std::string text);
  void begin_call(const std::string& name);
  void give_up();  // what was held for a call is text

  const ToolFamily family_;
  const std::vector<std::string> names_;
  const bool several_;
  Expect expect_;
  std::string held_;       // not looked at yet
  std::string candidate_;  // may be a call, or be text
  std::string space_;      // before text that may not come
  CallScanner scanner_;
  JsonEnd end_;
  bool in_list_ = false, begun_ = false, spoken_ = false;
  std::size_t calls_ = 0;
  std::vector<ToolEvent> events_;
};

}  // namespace shoal::client
