// SPDX-License-Identifier: Apache-2.0
#include "client/serve/tool_call_stream.h"

#include <algorithm>
#include <utility>

namespace shoal::client {
namespace {

constexpr std::string_view kSpace = " \n\r\t";
constexpr std::string_view kArguments = "[ARGS]", kCallId = "[CALL_ID]";
constexpr std::string_view kPythonTag = "<|python_tag|>", kHermesEnd = "</tool_call>";
constexpr std::size_t kMostNameBytes = 256;

std::string_view without_space(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

ToolCallStream::ToolCallStream(ToolFamily family, std::vector<std::string> names, bool several)
    : family_(family),
      names_(std::move(names)),
      several_(several),
      expect_(family == ToolFamily::kLlama3 || family == ToolFamily::kJson ? Expect::kBare
                                                                           : Expect::kMarker) {}

const std::string& ToolCallStream::marker() const {
  static const std::string hermes = "<tool_call>", mistral = "[TOOL_CALLS]";
  return family_ == ToolFamily::kHermes ? hermes : mistral;
}

std::vector<ToolEvent> ToolCallStream::push(std::string_view piece) {
  held_ += piece;
  while (step()) {
  }
  return std::exchange(events_, {});
}

std::vector<ToolEvent> ToolCallStream::finish() {
  if (begun_) {
    candidate_.clear();
    held_.clear();
  } else if (expect_ != Expect::kBehind ||
             without_space(held_).find_first_not_of(";,]") != std::string::npos) {
    candidate_ += std::exchange(held_, {});
    say(std::exchange(candidate_, {}));
  }
  // Nothing but space was said, and no call was made.
  if (calls_ == 0 && !space_.empty()) emit(ToolEvent::Kind::kText, std::exchange(space_, {}));
  return std::exchange(events_, {});
}

bool ToolCallStream::step() {
  switch (expect_) {
    case Expect::kMarker:
      return find_marker();
    case Expect::kBare:
      return begin_bare();
    case Expect::kObject:
      return begin_object();
    case Expect::kInObject:
      return scan_object();
    case Expect::kName:
      return read_name();
    case Expect::kInArguments:
      return scan_arguments();
    case Expect::kBehind:
      return pass_behind();
    case Expect::kText:
      say(std::exchange(held_, {}));
      return false;
  }
  return false;
}

std::string ToolCallStream::take(std::size_t count) {
  std::string text = held_.substr(0, count);
  held_.erase(0, count);
  return text;
}

bool ToolCallStream::may_become(std::size_t at, std::string_view text) const {
  const std::string_view rest = std::string_view(held_).substr(at);
  return rest.size() < text.size() && text.starts_with(rest);
}

// Space waits for what comes behind it: before a call it is none of what is said.
void ToolCallStream::say(std::string text) {
  text.insert(0, std::exchange(space_, {}));
  if (!spoken_ || calls_ > 0) {
    const std::size_t last = text.find_last_not_of(kSpace);
    if (last == std::string::npos) {
      space_ = std::move(text);
      return;
    }
  }
  spoken_ = true;
  if (!text.empty()) emit(ToolEvent::Kind::kText, std::move(text));
}

void ToolCallStream::emit(ToolEvent::Kind kind, std::string text) {
  const std::size_t call = calls_ == 0 ? 0 : calls_ - 1;
  if (kind != ToolEvent::Kind::kText && !several_ && call > 0) return;
  events_.push_back({kind, call, std::move(text)});
}

void ToolCallStream::begin_call(const std::string& name) {
  space_.clear();
  candidate_.clear();
  begun_ = true;
  ++calls_;
  emit(ToolEvent::Kind::kCall, name);
}

void ToolCallStream::give_up() {
  if (!begun_) say(std::exchange(candidate_, {}));
  begun_ = false;
  in_list_ = false;
  expect_ = marked() ? Expect::kMarker : Expect::kText;
}

bool ToolCallStream::find_marker() {
  const std::size_t found = held_.find(marker());
  if (found == std::string::npos) {
    std::size_t keep = std::min(held_.size(), marker().size() - 1);
    while (keep > 0 && !may_become(held_.size() - keep, marker())) --keep;
    if (held_.size() > keep) say(take(held_.size() - keep));
    return false;
  }
  if (found > 0) say(take(found));
  candidate_ = take(marker().size());
  expect_ = Expect::kObject;
  return true;
}

bool ToolCallStream::begin_bare() {
  const std::size_t at = held_.find_first_not_of(kSpace);
  if (at == std::string::npos || may_become(at, kPythonTag)) return false;
  if (family_ == ToolFamily::kLlama3 && held_.compare(at, kPythonTag.size(), kPythonTag) == 0) {
    candidate_ += take(at + kPythonTag.size());
    return true;
  }
  if (held_[at] == '[' && !in_list_ && family_ == ToolFamily::kJson && calls_ == 0) {
    candidate_ += take(at + 1);
    in_list_ = true;
    return true;
  }
  if (held_[at] != '{') {
    give_up();
    return true;
  }
  candidate_ += take(at);
  expect_ = Expect::kInObject;
  scanner_ = CallScanner();
  return true;
}

// Behind a marker: an object, a list of them, or a name.
bool ToolCallStream::begin_object() {
  const std::size_t at = held_.find_first_not_of(kSpace);
  if (at == std::string::npos) return false;
  candidate_ += take(at);
  const char next = held_[0];
  const bool mistral = family_ != ToolFamily::kHermes;
  if (next == '{') {
    expect_ = Expect::kInObject;
    scanner_ = CallScanner();
  } else if (next == '[' && mistral && !in_list_) {
    candidate_ += take(1);
    in_list_ = true;
  } else if (mistral && !in_list_) {
    expect_ = Expect::kName;
  } else {
    give_up();
  }
  return true;
}

bool ToolCallStream::scan_object() {
  std::size_t at = 0;
  auto verdict = CallScanner::Verdict::kMore;
  while (at < held_.size() && verdict == CallScanner::Verdict::kMore) {
    verdict = scanner_.push(held_[at++]);
    if (!begun_ && scanner_.named()) {
      const bool known = std::ranges::find(names_, scanner_.name()) != names_.end();
      if (!marked() && !known) {
        verdict = CallScanner::Verdict::kWrong;
      } else {
        held_.erase(0, at);
        at = 0;
        begin_call(scanner_.name());
      }
    }
  }
  if (begun_) {
    held_.erase(0, at);
    std::string arguments = scanner_.take_arguments();
    if (!arguments.empty()) emit(ToolEvent::Kind::kArguments, std::move(arguments));
  } else {
    candidate_ += take(at);
  }
  if (verdict == CallScanner::Verdict::kMore) return false;
  if (verdict == CallScanner::Verdict::kWrong) {
    give_up();
  } else {
    begun_ = false;
    expect_ = Expect::kBehind;
  }
  return true;
}

// name[CALL_ID]id[ARGS]{...}, or name{...}
bool ToolCallStream::read_name() {
  const std::size_t brace = held_.find('{');
  if (brace == std::string::npos && held_.size() <= kMostNameBytes) return false;
  std::string_view name = std::string_view(held_).substr(0, std::min(brace, held_.size()));
  if (const auto at = name.find(kArguments); at != std::string_view::npos) {
    name = name.substr(0, at);
  }
  if (const auto at = name.find(kCallId); at != std::string_view::npos) name = name.substr(0, at);
  name = without_space(name);
  if (brace == std::string::npos || name.empty() || name.find_first_of(" \n\"[]") != name.npos) {
    give_up();
    return true;
  }
  const std::string found(name);
  take(brace);
  begin_call(found);
  expect_ = Expect::kInArguments;
  end_ = JsonEnd();
  return true;
}

bool ToolCallStream::scan_arguments() {
  std::size_t at = 0;
  bool whole = false;
  while (at < held_.size() && !whole) whole = end_.push(held_[at++]);
  if (at > 0) emit(ToolEvent::Kind::kArguments, take(at));
  if (!whole) return false;
  begun_ = false;
  expect_ = Expect::kMarker;
  return true;
}

// What stands behind an object: its end marker, or what leads to the next one.
bool ToolCallStream::pass_behind() {
  const std::size_t at = held_.find_first_not_of(kSpace);
  if (at == std::string::npos) return false;
  const char next = held_[at];
  if (family_ == ToolFamily::kHermes) {
    if (may_become(at, kHermesEnd)) return false;
    if (held_.compare(at, kHermesEnd.size(), kHermesEnd) == 0) take(at + kHermesEnd.size());
    expect_ = Expect::kMarker;
    return true;
  }
  if (next == ',' || next == ';') {
    take(at + 1);
    expect_ = marked() ? Expect::kObject : Expect::kBare;
    return true;
  }
  if (next == ']' && in_list_) {
    take(at + 1);
    in_list_ = false;
    expect_ = marked() ? Expect::kMarker : Expect::kText;
    return true;
  }
  expect_ = marked() ? Expect::kMarker : Expect::kBare;
  return true;
}

}  // namespace shoal::client
