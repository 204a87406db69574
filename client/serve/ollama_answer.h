// SPDX-License-Identifier: Apache-2.0
// One answer as ollama's API tells it: JSON values a line each as the text comes, or one body at
// the end. Thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "client/serve/answer.h"
#include "client/serve/api_error.h"
#include "client/serve/http_message.h"

namespace shoal::client {

struct OllamaForm {
  bool chat = false;  // "message", else "response"
  bool stream = true;
  std::string model;  // as the client called it
  HttpHeaders headers{};
  std::optional<CallReading> calls{};  // nothing: all of an answer is text
};

class OllamaAnswer : public AnswerSink {
 public:
  OllamaAnswer(OllamaForm form, std::shared_ptr<HttpReply> reply);

  void prompt_tokens(std::int64_t tokens, std::int64_t cached) override;
  void score(std::size_t choice, ScoredToken token) override;
  void token(std::size_t, std::int32_t) override {}
  void text(std::size_t choice, const std::string& text) override;
  void end(std::size_t choice, const ChoiceEnd& end, std::int64_t completion_tokens) override;
  void fail(const absl::Status& status) override;
  void embedding(std::size_t, std::vector<float>) override {}

 private:
  using Json = nlohmann::ordered_json;
  Json part(const std::string& text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void say(const std::string& text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void tell(const std::vector<ToolEvent>& events) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const OllamaForm form_;
  const std::shared_ptr<HttpReply> reply_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  base::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);  // that is not out yet
  std::optional<ToolCallStream> reader_ ABSL_GUARDED_BY(mutex_);
  std::vector<ToolCall> calls_ ABSL_GUARDED_BY(mutex_);  // whole ones are told, at the end
  std::vector<ScoredToken> scores_ ABSL_GUARDED_BY(mutex_);
  std::int64_t prompt_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
};

std::string ollama_now();  // "2026-01-31T12:00:00.123456Z"
// {"error": "..."}
HttpResponse ollama_error(const ApiError& error);

}  // namespace shoal::client
