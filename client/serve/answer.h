// SPDX-License-Identifier: Apache-2.0
// One answer while it is made, choice by choice, by several threads: to a stream as it comes, or to
// one body at the end. Whatever happens, the reply is finished once. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "client/serve/answer_sink.h"
#include "client/serve/api_response.h"
#include "client/serve/http_message.h"
#include "client/serve/tool_call_stream.h"

namespace shoal::client {

// How calls of functions are found in an answer.
struct CallReading {
  ToolFamily family = ToolFamily::kJson;
  std::vector<std::string> names;
  bool several = true;
  std::function<std::string()> new_id;  // thread-safe
};

struct AnswerForm {
  std::size_t choices = 1;
  bool stream = false;
  bool include_usage = false;
  HttpHeaders headers{};
  bool token_ids = false;                            // those of prompt and text too
  std::vector<std::vector<std::int32_t>> prompts{};  // for these
  std::optional<CallReading> calls{};                // nothing: all of an answer is text
};

class Answer : public AnswerSink {
 public:
  Answer(AnswerFacts facts, AnswerForm form, std::shared_ptr<HttpReply> reply);

  void prompt_tokens(std::int64_t tokens, std::int64_t cached) override;
  void score(std::size_t choice, ScoredToken token) override;
  void token(std::size_t choice, std::int32_t id) override;
  void text(std::size_t choice, const std::string& text) override;
  void end(std::size_t choice, const ChoiceEnd& end, std::int64_t completion_tokens) override;
  void fail(const absl::Status& status) override;
  void embedding(std::size_t, std::vector<float>) override {}

 private:
  struct Choice {
    std::string text;
    std::vector<ScoredToken> scores;  // of a stream, those that are not out yet
    std::vector<std::int32_t> ids;    // likewise
    std::size_t offset = 0;
    bool begun = false, prompt_told = false;
    ChoiceEnd end{};
    std::optional<ToolCallStream> reader{};
    std::vector<ToolCall> calls{};
  };
  void begin(std::size_t choice) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void say(std::size_t choice, const std::string& text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void tell(std::size_t choice, const std::vector<ToolEvent>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  nlohmann::ordered_json take_scores(Choice& choice) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  TokenIds take_ids(std::size_t choice) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const AnswerFacts facts_;
  const AnswerForm form_;
  const std::shared_ptr<HttpReply> reply_;
  base::Mutex mutex_;
  std::vector<Choice> choices_ ABSL_GUARDED_BY(mutex_);
  std::size_t left_ ABSL_GUARDED_BY(mutex_);  // choices that are not ended
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  Usage usage_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::client
