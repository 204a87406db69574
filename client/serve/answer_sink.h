// SPDX-License-Identifier: Apache-2.0
// Where what an engine makes of a job goes, choice by choice, from several threads: an answer in
// the form of one API. Thread-safe.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace shoal::client {

struct ScoredToken {
  std::string text;
  std::optional<double> logprob;  // a prompt's first token has none
  std::vector<std::pair<std::string, double>> top;
};

struct ChoiceEnd {
  std::string finish_reason;           // "stop", "length" or "tool_calls"
  nlohmann::ordered_json stop_reason;  // the text or token id that was asked for, or null
  double prompt_ms = 0, total_ms = 0;  // until the first token, and until the last
};

class AnswerSink {
 public:
  virtual ~AnswerSink() = default;

  virtual void prompt_tokens(std::int64_t tokens, std::int64_t cached) = 0;  // of each prompt, once
  virtual void score(std::size_t choice, ScoredToken token) = 0;             // before its text
  virtual void token(std::size_t choice, std::int32_t id) = 0;               // before its score
  virtual void text(std::size_t choice, const std::string& text) = 0;
  virtual void end(std::size_t choice, const ChoiceEnd& end, std::int64_t completion_tokens) = 0;
  // The first failure, or the first of the choices to fail, is the answer.
  virtual void fail(const absl::Status& status) = 0;
  // Of each prompt of a job that asks for no text.
  virtual void embedding(std::size_t prompt, std::vector<float> values) = 0;
};

}  // namespace shoal::client
