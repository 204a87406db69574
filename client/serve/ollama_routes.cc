// SPDX-License-Identifier: Apache-2.0
// Those of the gateway's paths that speak ollama's API.
#include <fmt/format.h>

#include <utility>

#include "client/serve/api_fields.h"
#include "client/serve/embedding_request.h"
#include "client/serve/gateway.h"
#include "client/serve/http_replies.h"
#include "client/serve/ollama_answer.h"
#include "client/serve/ollama_request.h"

namespace shoal::client {
namespace {

// Of the API that is spoken here: clients refuse to talk to what is older than they need.
constexpr const char* kOllamaVersion = "0.12.11";

}  // namespace

void Gateway::ollama_version(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  say(request, *reply, {{"version", kOllamaVersion}});
}

// Its clients show these.
Gateway::Json Gateway::ollama_details() const {
  return {{"parent_model", ""},
          {"format", "safetensors"},
          {"family", user_model_.config.architecture},
          {"families", Json::array({user_model_.config.architecture})},
          {"parameter_size", ""},
          {"quantization_level", ""}};
}

Gateway::Json Gateway::ollama_model() const {
  const std::string name = with_tag(options_.model_name);
  std::uint64_t bytes = 0;
  for (const auto& file : user_model_.files.files) bytes += file.stamp.size;
  return {{"name", name},
          {"model", name},
          {"modified_at", ollama_now()},
          {"size", bytes},
          {"digest", proto::to_string(user_model_.digest)},
          {"details", ollama_details()}};
}

void Gateway::ollama_tags(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  say(request, *reply, {{"models", Json::array({ollama_model()})}});
}

void Gateway::ollama_ps(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  Json model = ollama_model();
  model["expires_at"] = "9999-12-31T23:59:59Z";
  model["size_vram"] = 0;
  model["context_length"] = user_model_.config.max_positions;
  say(request, *reply, {{"models", Json::array({std::move(model)})}});
}

void Gateway::ollama_show(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  if (!body.ok()) return refuse(request, *reply, body.status());
  ApiFields fields(*body);
  auto asked = fields.text("model");
  if (!asked) asked = fields.text("name");  // its older name
  if (!fields.status().ok()) return refuse(request, *reply, fields.status());
  if (auto known = check_model(without_latest(asked.value_or(""))); !known.ok()) {
    return refuse(request, *reply, known);
  }
  const std::string& family = user_model_.config.architecture;
  Json capabilities = Json::array({"completion"});
  if (template_) capabilities.push_back("tools");
  if (options_.pooling.ok()) capabilities.push_back("embedding");
  say(request, *reply,
      {{"modelfile", ""},
       {"parameters", ""},
       {"template", ""},
       {"details", ollama_details()},
       {"model_info",
        {{"general.architecture", family},
         {family + ".context_length", user_model_.config.max_positions},
         {family + ".embedding_length", user_model_.config.hidden},
         {family + ".block_count", user_model_.config.block_count}}},
       {"capabilities", std::move(capabilities)},
       {"modified_at", ollama_now()}});
}

void Gateway::ollama_generate(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  if (!body.ok()) return refuse(request, *reply, body.status());
  answer_ollama(request, read_ollama_generate(*body, template_.has_value()), reply);
}

void Gateway::ollama_chat(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  if (!body.ok()) return refuse(request, *reply, body.status());
  answer_ollama(request, read_ollama_chat(*body), reply);
}

void Gateway::answer_ollama(const HttpRequest& request, const absl::StatusOr<OllamaQuery>& asked,
                            const std::shared_ptr<HttpReply>& reply) {
  if (!asked.ok()) return refuse(request, *reply, asked.status());
  const std::string model = asked->model.empty() ? with_tag(options_.model_name) : asked->model;
  if (asked->is_empty) {
    if (auto known = check_model(asked->query.model); !known.ok()) {
      return refuse(request, *reply, known);
    }
    Json json = {{"model", model}, {"created_at", ollama_now()}};
    if (asked->is_chat) {
      json["message"] = {{"role", "assistant"}, {"content", ""}};
    } else {
      json["response"] = "";
    }
    json["done"] = true;
    json["done_reason"] = "load";
    return say(request, *reply, json);
  }
  auto job = job_of(asked->query);
  if (!job.ok()) return refuse(request, *reply, job.status());
  (*job)->answer =
      std::make_unique<OllamaAnswer>(OllamaForm{asked->is_chat, asked->query.stream, model,
                                                headers_of(request), call_reading(asked->query)},
                                     reply);
  submit(*job, *reply);
}

void Gateway::ollama_embed(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  embed(request, body.ok() ? read_ollama_embed(*body) : body.status(), reply);
}

void Gateway::ollama_embeddings(const HttpRequest& request,
                                const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  embed(request, body.ok() ? read_ollama_embeddings(*body) : body.status(), reply);
}

}  // namespace shoal::client
