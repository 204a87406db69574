// SPDX-License-Identifier: Apache-2.0
// What is asked of /v1/embeddings, and of ollama's /api/embed and /api/embeddings: read with
// bounds. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/serve/api_request.h"

namespace shoal::client {

inline constexpr std::size_t kMaxInputs = 2048;  // as OpenAI's

enum class EmbeddingForm { kFloats, kBase64, kOllama, kOllamaOne };

struct EmbeddingQuery {
  std::string model;
  std::vector<ApiPrompt> inputs;  // at least one but for ollama, none of messages
  EmbeddingForm form = EmbeddingForm::kFloats;
  std::optional<std::int64_t> dimensions;
  bool truncate = false;  // what is too long
};

absl::StatusOr<EmbeddingQuery> read_embeddings(const nlohmann::ordered_json& body);
// "input" and many vectors; or, of the older path, "prompt" and one.
absl::StatusOr<EmbeddingQuery> read_ollama_embed(const nlohmann::ordered_json& body);
absl::StatusOr<EmbeddingQuery> read_ollama_embeddings(const nlohmann::ordered_json& body);

}  // namespace shoal::client
