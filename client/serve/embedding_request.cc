// SPDX-License-Identifier: Apache-2.0
#include "client/serve/embedding_request.h"

#include <utility>

#include "client/serve/api_error.h"
#include "client/serve/api_fields.h"
#include "client/serve/ollama_request.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxDimensionsAsked = 1 << 20;

absl::StatusOr<EmbeddingQuery> read_inputs(const Json& body, const char* key) {
  ApiFields fields(body);
  EmbeddingQuery query;
  query.model = fields.text("model").value_or("");
  query.dimensions = fields.integer("dimensions", 1, kMaxDimensionsAsked);
  if (!fields.status().ok()) return fields.status();
  auto inputs = read_prompts(body, key, kMaxInputs);
  if (!inputs.ok()) return inputs.status();
  query.inputs = *std::move(inputs);
  return query;
}

absl::StatusOr<EmbeddingQuery> read_ollama(const Json& body, const char* key, EmbeddingForm form) {
  auto query = read_inputs(body, key);
  if (!query.ok()) return query;
  query->model = without_latest(query->model);
  query->form = form;
  ApiFields fields(body);
  query->truncate = fields.boolean("truncate", true);
  if (!fields.status().ok()) return fields.status();
  return query;
}

}  // namespace

absl::StatusOr<EmbeddingQuery> read_embeddings(const Json& body) {
  auto query = read_inputs(body, "input");
  if (!query.ok()) return query;
  ApiFields fields(body);
  const std::string encoding = fields.text("encoding_format").value_or("float");
  if (encoding != "float" && encoding != "base64") {
    fields.fail(bad_field("encoding_format", "expected \"float\" or \"base64\""));
  }
  if (encoding == "base64") query->form = EmbeddingForm::kBase64;
  query->truncate = fields.integer("truncate_prompt_tokens", -1, -1).has_value();
  if (!fields.status().ok()) return fields.status();
  return query;
}

absl::StatusOr<EmbeddingQuery> read_ollama_embed(const Json& body) {
  return read_ollama(body, "input", EmbeddingForm::kOllama);
}

absl::StatusOr<EmbeddingQuery> read_ollama_embeddings(const Json& body) {
  return read_ollama(body, "prompt", EmbeddingForm::kOllamaOne);
}

}  // namespace shoal::client
