// SPDX-License-Identifier: Apache-2.0
#include "client/serve/embedding_answer.h"

#include <bit>
#include <utility>

#include "absl/strings/escaping.h"
#include "client/serve/api_response.h"
#include "client/serve/ollama_answer.h"
#include "client/text/embedding.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

// As little-endian f32, which is how this machine has them.
std::string base64(const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little);
  return absl::Base64Escape(
      {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
}

}  // namespace

EmbeddingAnswer::EmbeddingAnswer(Form form, std::shared_ptr<HttpReply> reply)
    : form_(std::move(form)),
      reply_(std::move(reply)),
      vectors_(form_.inputs),
      left_(form_.choices) {}

void EmbeddingAnswer::prompt_tokens(std::int64_t tokens, std::int64_t) {
  base::MutexLock lock(mutex_);
  tokens_ += tokens;
}

void EmbeddingAnswer::embedding(std::size_t prompt, std::vector<float> values) {
  if (form_.dimensions) {
    shorten(values, static_cast<std::size_t>(*form_.dimensions), form_.pooling);
  }
  base::MutexLock lock(mutex_);
  vectors_[prompt] = std::move(values);
}

std::string EmbeddingAnswer::body() const {
  if (form_.form == EmbeddingForm::kOllamaOne) return to_text({{"embedding", vectors_.at(0)}});
  if (form_.form == EmbeddingForm::kOllama) {
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::steady_clock::now() - began_);
    return to_text({{"model", form_.model},
                    {"embeddings", vectors_},
                    {"total_duration", took.count()},
                    {"load_duration", 0},
                    {"prompt_eval_count", tokens_}});
  }
  Json data = Json::array();
  for (const std::vector<float>& vector : vectors_) {
    Json item = {{"object", "embedding"}, {"index", data.size()}};
    if (form_.form == EmbeddingForm::kBase64) {
      item["embedding"] = base64(vector);
    } else {
      item["embedding"] = vector;
    }
    data.push_back(std::move(item));
  }
  return to_text({{"object", "list"},
                  {"data", std::move(data)},
                  {"model", form_.model},
                  {"usage", {{"prompt_tokens", tokens_}, {"total_tokens", tokens_}}}});
}

void EmbeddingAnswer::end(std::size_t, const ChoiceEnd&, std::int64_t) {
  base::MutexLock lock(mutex_);
  if (--left_ > 0) return;
  reply_->respond({200, "application/json", body(), form_.headers});
}

void EmbeddingAnswer::fail(const absl::Status& status) {
  const bool ollama =
      form_.form == EmbeddingForm::kOllama || form_.form == EmbeddingForm::kOllamaOne;
  HttpResponse response =
      ollama ? ollama_error(api_error(status)) : error_response(api_error(status));
  response.headers.insert(response.headers.end(), form_.headers.begin(), form_.headers.end());
  reply_->respond(std::move(response));
}

}  // namespace shoal::client
