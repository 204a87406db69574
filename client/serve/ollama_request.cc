// SPDX-License-Identifier: Apache-2.0
#include "client/serve/ollama_request.h"

#include <utility>

#include "client/serve/api_error.h"
#include "client/serve/api_fields.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kLatest = ":latest";

bool says_nothing(const Json& value) {
  const bool no_text = value.is_string() && value.get_ref<const std::string&>().empty();
  return value == false || value == 0 || no_text || (value.is_structured() && value.empty());
}

absl::Status refuse_all(const ApiFields& fields, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const Json* value = fields.find(key);
    if (value != nullptr && !says_nothing(*value)) {
      return unsupported_field(key, "is not supported by this server: leave it out");
    }
  }
  return absl::OkStatus();
}

void copy(const ApiFields& from, const char* key, Json& to, const char* name) {
  if (const Json* value = from.find(key)) to[name] = *value;
}

absl::Status copy_options(const Json& options, Json& to) {
  if (!options.is_object()) return bad_field("options", "expected an object");
  const ApiFields fields(options);
  for (const auto& [key, name] : {std::pair("temperature", "temperature"),
                                  {"top_k", "top_k"},
                                  {"top_p", "top_p"},
                                  {"min_p", "min_p"},
                                  {"seed", "seed"},
                                  {"stop", "stop"},
                                  {"repeat_penalty", "repetition_penalty"},
                                  {"presence_penalty", "presence_penalty"},
                                  {"frequency_penalty", "frequency_penalty"}}) {
    copy(fields, key, to, name);
  }
  // -1 and -2 are "as many as you like": as if nobody had said it.
  if (const Json* most = fields.find("num_predict");
      most != nullptr && *most != -1 && *most != -2) {
    to["max_tokens"] = *most;
  }
  if (const Json* typical = fields.find("typical_p"); typical != nullptr && *typical != 1) {
    return unsupported_field("typical_p", "other than 1 is not supported by this server");
  }
  return refuse_all(fields, {"mirostat"});
}

// What both have, as fields of OpenAI's.
absl::StatusOr<Json> common(const Json& body) {
  ApiFields fields(body);
  if (auto status = refuse_all(fields, {"template", "context", "images", "suffix"}); !status.ok()) {
    return status;
  }
  Json out = Json::object();
  out["model"] = without_latest(fields.text("model").value_or(""));
  out["stream"] = fields.boolean("stream", true);
  if (const Json* think = fields.find("think")) {
    if (*think != false) {
      return unsupported_field("think",
                               "is not supported by this server: what a model thinks is "
                               "a part of its text");
    }
    out["chat_template_kwargs"] = {{"enable_thinking", false}};
  }
  if (const Json* form = fields.find("format"); form != nullptr && !says_nothing(*form)) {
    if (*form != "json" && !form->is_object()) {
      return bad_field("format", "expected \"json\" or a JSON schema");
    }
    out["response_format"] = form->is_object()
                                 ? Json{{"type", "json_schema"},
                                        {"json_schema", {{"name", "format"}, {"schema", *form}}}}
                                 : Json{{"type", "json_object"}};
  }
  if (const Json* options = fields.find("options")) {
    if (auto status = copy_options(*options, out); !status.ok()) return status;
  }
  if (!fields.status().ok()) return fields.status();
  return out;
}

absl::Status copy_messages(const Json& body, Json& out) {
  ApiFields fields(body);
  const Json* messages = fields.find("messages");
  if (messages == nullptr) return absl::OkStatus();
  if (!messages->is_array()) return bad_field("messages", "expected a list of messages");
  for (const Json& message : *messages) {
    if (!message.is_object()) continue;  // told by who reads it
    if (auto status = refuse_all(ApiFields(message), {"images"}); !status.ok()) return status;
  }
  out["messages"] = *messages;
  return absl::OkStatus();
}

void copy_logprobs(const Json& body, bool chat, Json& out) {
  ApiFields fields(body);
  if (!fields.boolean("logprobs", false)) return;
  const Json* top = fields.find("top_logprobs");
  if (chat) {
    out["logprobs"] = true;
    if (top != nullptr) out["top_logprobs"] = *top;
  } else {
    out["logprobs"] = top == nullptr ? Json(0) : *top;
  }
}

absl::StatusOr<OllamaQuery> finished(absl::StatusOr<GenerationQuery> query, const Json& body,
                                     bool is_chat) {
  if (!query.ok()) return query.status();
  return OllamaQuery{*std::move(query), body.value("model", std::string()), is_chat, false};
}

OllamaQuery empty_query(const Json& out, const Json& body, bool is_chat) {
  OllamaQuery query;
  query.query.model = out["model"];
  query.model = body.value("model", std::string());
  query.is_chat = is_chat;
  query.is_empty = true;
  return query;
}

}  // namespace

std::string without_latest(const std::string& name) {
  return name.ends_with(kLatest) ? name.substr(0, name.size() - std::string(kLatest).size()) : name;
}

std::string with_tag(const std::string& name) {
  return name.find(':') == std::string::npos ? name + kLatest : name;
}

absl::StatusOr<OllamaQuery> read_ollama_chat(const Json& body) {
  auto out = common(body);
  if (!out.ok()) return out.status();
  if (auto status = copy_messages(body, *out); !status.ok()) return status;
  if (!out->contains("messages") || (*out)["messages"].empty()) {
    return empty_query(*out, body, true);
  }
  copy_logprobs(body, true, *out);
  copy(ApiFields(body), "tools", *out, "tools");
  return finished(read_chat(*out), body, true);
}

absl::StatusOr<OllamaQuery> read_ollama_generate(const Json& body, bool has_template) {
  auto out = common(body);
  if (!out.ok()) return out.status();
  ApiFields fields(body);
  if (auto status = refuse_all(fields, {"tools"}); !status.ok()) return status;
  const std::string prompt = fields.text("prompt").value_or("");
  const std::string system = fields.text("system").value_or("");
  const bool raw = fields.boolean("raw", false) || !has_template;
  if (!fields.status().ok()) return fields.status();
  if (prompt.empty()) return empty_query(*out, body, false);
  copy_logprobs(body, !raw, *out);
  if (!raw) {
    Json messages = Json::array();
    if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
    messages.push_back({{"role", "user"}, {"content", prompt}});
    (*out)["messages"] = std::move(messages);
    return finished(read_chat(*out), body, false);
  }
  if (!system.empty()) {
    return unsupported_field("system", "needs a chat template: put it before the prompt");
  }
  (*out)["prompt"] = prompt;
  auto query = read_completion(*out);
  // Not OpenAI's 16.
  if (query.ok() && !out->contains("max_tokens")) query->max_tokens.reset();
  return finished(std::move(query), body, false);
}

}  // namespace shoal::client
