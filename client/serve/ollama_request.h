// SPDX-License-Identifier: Apache-2.0
// Bodies of ollama's API, written as those of OpenAI's: what comes out is read by api_request,
// which knows the bounds. Options that change the answer and that we do not do are refused by name.
// Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "client/serve/api_request.h"

namespace shoal::client {

struct OllamaQuery {
  GenerationQuery query;
  std::string model;      // as it was asked for; empty: not
  bool is_chat = false;   // how it is answered: a message, or a response
  bool is_empty = false;  // no prompt: the client wants the model loaded, no more
};

// /api/chat.
absl::StatusOr<OllamaQuery> read_ollama_chat(const nlohmann::ordered_json& body);
// /api/generate: one turn of a chat where the model has a template and `raw` is not said.
absl::StatusOr<OllamaQuery> read_ollama_generate(const nlohmann::ordered_json& body,
                                                 bool has_template);

// The name without ollama's ":latest", which it gives where nobody says a tag.
std::string without_latest(const std::string& name);
// And with it, as its clients show and compare names.
std::string with_tag(const std::string& name);

}  // namespace shoal::client
