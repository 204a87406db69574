// SPDX-License-Identifier: Apache-2.0
// The vectors of one request, told in one body when all are there. Thread-safe.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "client/serve/answer_sink.h"
#include "client/serve/embedding_request.h"
#include "client/serve/http_message.h"
#include "model/pooling.h"

namespace shoal::client {

class EmbeddingAnswer : public AnswerSink {
 public:
  struct Form {
    EmbeddingForm form = EmbeddingForm::kFloats;
    std::string model;
    model::Pooling pooling{};
    std::optional<std::int64_t> dimensions;  // of the beginning that is wanted
    HttpHeaders headers{};
    std::size_t inputs = 0, choices = 0;  // these make those
  };
  EmbeddingAnswer(Form form, std::shared_ptr<HttpReply> reply);

  void prompt_tokens(std::int64_t tokens, std::int64_t cached) override;
  void score(std::size_t, ScoredToken) override {}
  void token(std::size_t, std::int32_t) override {}
  void text(std::size_t, const std::string&) override {}
  void end(std::size_t choice, const ChoiceEnd& end, std::int64_t completion_tokens) override;
  void fail(const absl::Status& status) override;
  void embedding(std::size_t prompt, std::vector<float> values) override;

 private:
  std::string body() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Form form_;
  const std::shared_ptr<HttpReply> reply_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  base::Mutex mutex_;
  std::vector<std::vector<float>> vectors_ ABSL_GUARDED_BY(mutex_);
  std::int64_t tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  std::size_t left_ ABSL_GUARDED_BY(mutex_);  // choices that are not ended
};

}  // namespace shoal::client
