// SPDX-License-Identifier: Apache-2.0
// Those of the gateway's paths that answer with vectors.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/serve/api_fields.h"
#include "client/serve/embedding_answer.h"
#include "client/serve/embedding_request.h"
#include "client/serve/gateway.h"
#include "client/serve/http_replies.h"

namespace shoal::client {
namespace {

// Texts of one request that are on their way at a time: over a swarm each takes a round trip.
constexpr std::size_t kMostLanes = 8;

const char* input_of(const EmbeddingQuery& query) {
  return query.form == EmbeddingForm::kOllamaOne ? "prompt" : "input";
}

}  // namespace

void Gateway::embeddings(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  embed(request, body.ok() ? read_embeddings(*body) : body.status(), reply);
}

absl::Status Gateway::check_embedding(const EmbeddingQuery& query) const {
  if (auto status = check_model(query.model); !status.ok()) return status;
  if (absl::IsNotFound(options_.pooling.status())) {
    return bad_field("model",
                     "makes no embeddings: its folder has no modules.json of sentence-transformers "
                     "that says how a text becomes one vector",
                     "no_pooling");
  }
  if (!options_.pooling.ok()) {
    return bad_field("model", std::string(options_.pooling.status().message()), "no_pooling");
  }
  if (!user_model_.has_ends()) {
    return bad_field("model",
                     "makes no embeddings where nodes compute its ends: start the server "
                     "with the model's folder or name",
                     "no_pooling");
  }
  const auto wanted = query.dimensions;
  if (wanted && *wanted != user_model_.config.hidden &&
      (*wanted > user_model_.config.hidden || !options_.pooling->may_shorten_to(*wanted))) {
    return bad_field("dimensions",
                     fmt::format("this model's vectors have {}, and its config.json names no "
                                 "shorter beginnings of so many (matryoshka_dimensions)",
                                 user_model_.config.hidden),
                     "unsupported_parameter");
  }
  return absl::OkStatus();
}

void Gateway::embed(const HttpRequest& request, const absl::StatusOr<EmbeddingQuery>& query,
                    const std::shared_ptr<HttpReply>& reply) {
  if (!query.ok()) return refuse(request, *reply, query.status());
  if (auto status = check_embedding(*query); !status.ok()) {
    return refuse(request, *reply, status);
  }
  auto job = std::make_shared<Job>();
  job->pooling = *options_.pooling;
  const auto most = static_cast<std::size_t>(user_model_.config.max_positions);
  for (const ApiPrompt& input : query->inputs) {
    auto prompt = prompt_of(input, /*add_special_tokens=*/true);
    if (!prompt.ok()) return refuse(request, *reply, prompt.status());
    // The beginning, as sentence-transformers keeps it.
    if (query->truncate && prompt->ids.size() > most) prompt->ids.resize(most);
    if (prompt->ids.empty() || prompt->ids.size() > most) {
      return refuse(request, *reply,
                    bad_field(input_of(*query),
                              fmt::format("a text of {} tokens, where the model takes 1 to {}",
                                          prompt->ids.size(), most),
                              "context_length_exceeded"));
    }
    job->prompts.push_back(*std::move(prompt));
  }
  job->lanes = std::min({job->prompts.size(), kMostLanes, engine_.most_choices()});
  job->answer = std::make_unique<EmbeddingAnswer>(
      EmbeddingAnswer::Form{query->form, options_.model_name, *options_.pooling, query->dimensions,
                            headers_of(request), job->prompts.size(), job->lanes},
      reply);
  submit(job, *reply);
}

}  // namespace shoal::client
