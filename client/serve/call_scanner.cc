// SPDX-License-Identifier: Apache-2.0
#include "client/serve/call_scanner.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace shoal::client {
namespace {

// Keys of a call's object that are short.
constexpr std::size_t kMaxKey = 64;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

bool JsonEnd::push(char c) {
  begun_ = true;
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
  } else if (c == '"') {
    in_string_ = true;
  } else if (c == '{' || c == '[') {
    ++depth_;
  } else if (c == '}' || c == ']') {
    --depth_;
  }
  return !in_string_ && depth_ <= 0;
}

CallScanner::Verdict CallScanner::push(char c) {
  const bool inside = expect_ == Expect::kInKey || expect_ == Expect::kInValue;
  if (!inside && is_space(c)) return Verdict::kMore;
  switch (expect_) {
    case Expect::kOpen:
      expect_ = Expect::kKey;
      return c == '{' ? Verdict::kMore : Verdict::kWrong;
    case Expect::kKey:
      if (c != '"') return Verdict::kWrong;
      key_.clear();
      expect_ = Expect::kInKey;
      return Verdict::kMore;
    case Expect::kInKey:
      if (c == '"') {
        const bool known = key_ == "name" || key_ == "arguments" || key_ == "parameters" ||
                           key_ == "type" || key_ == "id";
        expect_ = Expect::kColon;
        return known ? Verdict::kMore : Verdict::kWrong;
      }
      key_.push_back(c);
      return key_.size() > kMaxKey ? Verdict::kWrong : Verdict::kMore;
    case Expect::kColon:
      expect_ = Expect::kValue;
      return c == ':' ? Verdict::kMore : Verdict::kWrong;
    case Expect::kValue: {
      if (c != '{' && c != '[' && c != '"') return Verdict::kWrong;
      const bool holds = key_ == "arguments" || key_ == "parameters";
      if (holds && has_arguments_) return Verdict::kWrong;
      has_arguments_ = has_arguments_ || holds;
      streams_ = holds && c != '"';
      end_ = JsonEnd();
      value_.clear();
      expect_ = Expect::kInValue;
      [[fallthrough]];
    }
    case Expect::kInValue:
      (streams_ ? arguments_ : value_).push_back(c);
      return end_.push(c) ? end_value() : Verdict::kMore;
    case Expect::kComma:
      if (c == ',') {
        expect_ = Expect::kKey;
        return Verdict::kMore;
      }
      if (c != '}' || !named_) return Verdict::kWrong;
      if (!has_arguments_) arguments_ = "{}";
      return Verdict::kDone;
  }
  return Verdict::kWrong;
}

CallScanner::Verdict CallScanner::end_value() {
  expect_ = Expect::kComma;
  if (streams_) return Verdict::kMore;
  const auto value = nlohmann::json::parse(value_, nullptr, /*allow_exceptions=*/false);
  if (key_ == "name") {
    if (!value.is_string() || named_) return Verdict::kWrong;
    name_ = value;
    named_ = true;
  } else if (key_ != "type" && key_ != "id") {  // JSON within a text
    if (!value.is_string()) return Verdict::kWrong;
    arguments_ = value;
  }
  return Verdict::kMore;
}

std::string CallScanner::take_arguments() { return std::exchange(arguments_, std::string()); }

}  // namespace shoal::client
