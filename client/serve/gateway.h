// SPDX-License-Identifier: Apache-2.0
// OpenAI's API in front of an engine: which path does what, who may, and from a request to a job.
// Knows no sockets. Thread-safe; all that it is given must outlive it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "client/constrain/constraint_shelf.h"
#include "client/serve/answer.h"
#include "client/serve/api_request.h"
#include "client/serve/embedding_request.h"
#include "client/serve/engine.h"
#include "client/serve/http_message.h"
#include "client/serve/ollama_request.h"
#include "client/serve/tool_syntax.h"
#include "client/text/user_model.h"
#include "model/chat/chat_template.h"
#include "model/pooling.h"

namespace shoal::client {

class SwarmPage;

struct GatewayOptions {
  std::string model_name{};             // as clients ask for it
  std::vector<std::string> api_keys{};  // none: everybody may
  std::int64_t chat_tokens = 1024;      // of an answer where neither request nor model says
  std::string version{};
  SwarmPage* page = nullptr;  // null: there is no page
  // How it makes vectors of texts; NOT_FOUND, or why it does not.
  absl::StatusOr<model::Pooling> pooling = absl::NotFoundError("no rule");
  std::optional<ToolFamily> tool_family{};  // nothing: by the chat template
};

// OK while nodes serve every block of the model.
using CheckChain = std::function<absl::Status()>;

class Gateway {
 public:
  Gateway(const UserModel& user_model, std::optional<model::chat::ChatTemplate> chat_template,
          Engine& engine, CheckChain check_chain, GatewayOptions options);

  void handle(HttpRequest request, const std::shared_ptr<HttpReply>& reply);

 private:
  using Json = nlohmann::ordered_json;
  struct Route;
  static const std::vector<Route>& routes();
  absl::StatusOr<Json> body_of(const HttpRequest& request) const;

  void chat(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void completion(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void invocation(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void models(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void health(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void version(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void page(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void swarm(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void tokenize(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void detokenize(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);

  void metrics(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void embeddings(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_chat(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_generate(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_embed(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_embeddings(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_tags(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_ps(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_version(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
  void ollama_show(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);

  void generate(const HttpRequest& request, absl::StatusOr<GenerationQuery> query,
                const std::shared_ptr<HttpReply>& reply);
  void answer_ollama(const HttpRequest& request, const absl::StatusOr<OllamaQuery>& asked,
                     const std::shared_ptr<HttpReply>& reply);
  void embed(const HttpRequest& request, const absl::StatusOr<EmbeddingQuery>& query,
             const std::shared_ptr<HttpReply>& reply);
  absl::Status check_embedding(const EmbeddingQuery& query) const;
  void submit(const std::shared_ptr<Job>& job, HttpReply& reply);
  absl::StatusOr<std::shared_ptr<Job>> job_of(const GenerationQuery& query);
  // Words that may not come, and ids that alone may.
  absl::Status add_words(const GenerationQuery& query, SamplingOptions& sampling) const;
  void truncate(Job::Prompt& prompt, const GenerationQuery& query) const;
  absl::Status set_form(const GenerationQuery& query, GenerateRequest& request);
  std::optional<CallReading> call_reading(const GenerationQuery& query) const;
  absl::StatusOr<Job::Prompt> prompt_of(const ApiPrompt& prompt, bool add_special_tokens) const;
  absl::StatusOr<std::vector<std::int32_t>> ids_of(const ApiMessages& messages) const;
  absl::Status check_model(const std::string& asked) const;
  Json model_card() const;
  Json ollama_model() const;
  Json ollama_details() const;

  const UserModel& user_model_;
  const std::optional<model::chat::ChatTemplate> template_;
  Engine& engine_;
  const CheckChain check_chain_;
  const GatewayOptions options_;
  const std::int64_t created_;
  std::string fingerprint_;
  const ToolFamily tool_family_;
  constrain::ConstraintShelf constraints_;
  base::Mutex mutex_;  // one look at the chain at a time
  std::chrono::steady_clock::time_point looked_at_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> chain_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace shoal::client
