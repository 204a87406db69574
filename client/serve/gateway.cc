// SPDX-License-Identifier: Apache-2.0
#include "client/serve/gateway.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/random.h"
#include "client/chat/final_message.h"
#include "client/chat/talk.h"
#include "client/serve/answer.h"
#include "client/serve/api_error.h"
#include "client/serve/api_fields.h"
#include "client/serve/api_key.h"
#include "client/serve/http_replies.h"
#include "client/serve/http_text.h"
#include "client/serve/swarm_page.h"

namespace shoal::client {
namespace {

constexpr std::chrono::seconds kChainLook{1};

std::string new_id(const char* prefix) {
  return fmt::format("{}{:014x}{:014x}", prefix, base::random_seed(), base::random_seed());
}

std::tm local_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

// Browsers send other types from any page without asking first. ollama's clients send them too, or
// none, but no browser sends a POST without an Origin.
bool has_good_type(const HttpRequest& request) {
  const std::string type = request.content_type.substr(0, request.content_type.find(';'));
  return same_ignoring_case(type, "application/json") ||
         (request.path.starts_with("/api/") && request.origin.empty());
}

// Where templates want ids of a certain form, it is this one.
std::string new_call_id(ToolFamily family) {
  const bool is_mistral = family == ToolFamily::kMistral || family == ToolFamily::kMistralNamed;
  if (!is_mistral)
    return fmt::format("call_{:012x}{:012x}", base::random_seed() & 0xFFFF'FFFF'FFFF,
                       base::random_seed() & 0xFFFF'FFFF'FFFF);
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string id;
  for (std::uint64_t rest = base::random_seed(); id.size() < 9; rest /= kLetters.size()) {
    id.push_back(kLetters[rest % kLetters.size()]);
  }
  return id;
}

bool must_call(const GenerationQuery& query) {
  return query.tools && query.tools->choice == ToolQuery::Choice::kRequired;
}

// "/page/style.css" is below "/page/*".
bool is_below(std::string_view path, std::string_view pattern) {
  return pattern.ends_with("/*") && path.starts_with(pattern.substr(0, pattern.size() - 1));
}

}  // namespace

struct Gateway::Route {
  const char* path;
  const char* method;
  bool guarded;
  void (Gateway::*run)(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply);
};

const std::vector<Gateway::Route>& Gateway::routes() {
  static const std::vector<Route> all = {
      {"/v1/chat/completions", "POST", true, &Gateway::chat},
      {"/v1/completions", "POST", true, &Gateway::completion},
      {"/v1/embeddings", "POST", true, &Gateway::embeddings},
      {"/invocations", "POST", true, &Gateway::invocation},
      {"/v1/models", "GET", true, &Gateway::models},
      {"/tokenize", "POST", true, &Gateway::tokenize},
      {"/detokenize", "POST", true, &Gateway::detokenize},
      {"/health", "GET", false, &Gateway::health},
      {"/ping", "GET", false, &Gateway::health},
      {"/version", "GET", false, &Gateway::version},
      {"/", "GET", false, &Gateway::page},
      {"/page/*", "GET", false, &Gateway::page},
      {"/swarm", "GET", true, &Gateway::swarm},
      {"/swarm/*", "GET", true, &Gateway::swarm},
      {"/metrics", "GET", false, &Gateway::metrics},
      {"/api/chat", "POST", true, &Gateway::ollama_chat},
      {"/api/generate", "POST", true, &Gateway::ollama_generate},
      {"/api/embed", "POST", true, &Gateway::ollama_embed},
      {"/api/embeddings", "POST", true, &Gateway::ollama_embeddings},
      {"/api/tags", "GET", true, &Gateway::ollama_tags},
      {"/api/ps", "GET", true, &Gateway::ollama_ps},
      {"/api/show", "POST", true, &Gateway::ollama_show},
      {"/api/version", "GET", false, &Gateway::ollama_version},
  };
  return all;
}

Gateway::Gateway(const UserModel& user_model,
                 std::optional<model::chat::ChatTemplate> chat_template, Engine& engine,
                 CheckChain check_chain, GatewayOptions options)
    : user_model_(user_model),
      template_(std::move(chat_template)),
      engine_(engine),
      check_chain_(std::move(check_chain)),
      options_(std::move(options)),
      created_(std::time(nullptr)),
      tool_family_(options_.tool_family.value_or(tool_family_of(
          [this](std::string_view text) { return template_ && template_->mentions(text); }))),
      constraints_(*user_model_.tokenizer) {
  fingerprint_ = "shoal-" + proto::short_name(user_model_.digest);
}

void Gateway::handle(HttpRequest request, const std::shared_ptr<HttpReply>& reply) {
  if (request.request_id.empty()) request.request_id = new_id("req-");
  const bool is_head = request.method == "HEAD";
  const std::string method = is_head ? "GET" : request.method;
  constexpr std::string_view kModels = "/v1/models/";
  const bool one_model = request.path.starts_with(kModels);
  const auto& all = routes();
  const auto route = std::ranges::find_if(all, [&](const Route& one) {
    return one.path == request.path || (one_model && one.path == kModels.substr(0, 10)) ||
           is_below(request.path, one.path);
  });
  if (options_.api_keys.empty() && !is_plain_host(request.host)) {
    return refuse(request, *reply,
                  {403,
                   "this server is asked for by a name that is not localhost: ask by its address, "
                   "or start it with --api-key",
                   "invalid_request_error", std::nullopt, "forbidden_host"});
  }
  // Who may not ask learns nothing of what there is.
  if ((route == all.end() || route->guarded) && !options_.api_keys.empty() &&
      !is_authorized(request.authorization, options_.api_keys)) {
    return refuse(request, *reply,
                  absl::UnauthenticatedError(
                      "Incorrect API key: send \"Authorization: Bearer KEY\" with a key of this "
                      "server (--api-key)"));
  }
  if (route == all.end()) {
    return refuse(request, *reply,
                  {404, fmt::format("there is no {} here", request.path.substr(0, 100)),
                   "invalid_request_error", std::nullopt, "not_found"});
  }
  if (method != route->method) {
    const bool get = std::string_view(route->method) == "GET";
    return refuse(request, *reply,
                  {405, fmt::format("{} takes {}", route->path, route->method),
                   "invalid_request_error", std::nullopt, "method_not_allowed"},
                  {{"Allow", get ? "GET, HEAD" : "POST"}});
  }
  if (method == "POST" && !has_good_type(request)) {
    return refuse(request, *reply,
                  invalid_request(415, "send the header Content-Type: application/json"));
  }
  (this->*route->run)(request, reply);
}

absl::Status Gateway::check_model(const std::string& asked) const {
  if (asked.empty() || asked == options_.model_name) return absl::OkStatus();
  return unknown_model(asked.substr(0, 200), options_.model_name);
}

void Gateway::models(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  constexpr std::size_t kPrefix = sizeof("/v1/models/") - 1;
  if (request.path.size() < kPrefix) {
    return say(request, *reply, {{"object", "list"}, {"data", Json::array({model_card()})}});
  }
  const std::string asked = request.path.substr(kPrefix);
  if (auto status = asked.empty() ? unknown_model("", options_.model_name) : check_model(asked);
      !status.ok()) {
    return refuse(request, *reply, status);
  }
  say(request, *reply, model_card());
}

Gateway::Json Gateway::model_card() const {
  return {{"id", options_.model_name},
          {"object", "model"},
          {"created", created_},
          {"owned_by", "shoal"},
          {"root", options_.model_name},
          {"parent", nullptr},
          {"max_model_len", user_model_.config.max_positions},
          {"permission", Json::array()}};
}

void Gateway::health(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  absl::Status status;
  {
    base::MutexLock lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (!chain_ || now - looked_at_ > kChainLook) {
      chain_ = check_chain_();
      looked_at_ = std::chrono::steady_clock::now();
    }
    status = *chain_;
  }
  if (!status.ok()) {
    ApiError error = api_error(status);
    error.status = 503;
    error.type = "server_error";
    return refuse(request, *reply, error);
  }
  say(request, *reply, {{"status", "ok"}});
}

void Gateway::version(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  say(request, *reply, {{"version", options_.version}});
}

void Gateway::page(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  auto file = options_.page ? page_file(request.path, request.if_none_match) : std::nullopt;
  if (!file) {
    return refuse(request, *reply,
                  {404, fmt::format("there is no {} here", request.path.substr(0, 100)),
                   "invalid_request_error", std::nullopt, "not_found"});
  }
  reply->respond(*std::move(file));
}

void Gateway::swarm(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  if (options_.page) return options_.page->swarm(request, reply, headers_of(request));
  refuse(request, *reply,
         {404, "this server shows no swarm", "invalid_request_error", std::nullopt, "not_found"});
}

// Open to all, as other servers have it: it counts, and holds nothing of what anybody wrote.
void Gateway::metrics(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  reply->respond({200, "text/plain; version=0.0.4; charset=utf-8",
                  engine_.metrics(options_.model_name), headers_of(request)});
}

void Gateway::tokenize(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  if (!body.ok()) return refuse(request, *reply, body.status());
  const auto query = read_tokenize(*body);
  if (!query.ok()) return refuse(request, *reply, query.status());
  if (auto known = check_model(query->model); !known.ok()) return refuse(request, *reply, known);
  const auto prompt = prompt_of(query->prompt, query->add_special_tokens);
  if (!prompt.ok()) return refuse(request, *reply, prompt.status());
  Json json = {{"count", prompt->ids.size()},
               {"max_model_len", user_model_.config.max_positions},
               {"tokens", prompt->ids},
               {"token_strs", nullptr}};
  if (query->return_token_texts) {
    json["token_strs"] = Json::array();
    for (const std::int32_t id : prompt->ids) {
      const auto text = user_model_.tokenizer->decode({&id, 1}, false);
      json["token_strs"].push_back(text.ok() ? *text : "");
    }
  }
  say(request, *reply, json);
}

void Gateway::detokenize(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  if (!body.ok()) return refuse(request, *reply, body.status());
  const auto query = read_detokenize(*body);
  if (!query.ok()) return refuse(request, *reply, query.status());
  if (auto known = check_model(query->model); !known.ok()) return refuse(request, *reply, known);
  const auto text = user_model_.tokenizer->decode(query->tokens, /*skip_special_tokens=*/false);
  if (!text.ok()) return refuse(request, *reply, text.status());
  say(request, *reply, {{"prompt", *text}});
}

void Gateway::chat(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  generate(request, body.ok() ? read_chat(*body) : body.status(), reply);
}

void Gateway::completion(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  generate(request, body.ok() ? read_completion(*body) : body.status(), reply);
}

void Gateway::invocation(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
  const auto body = parse_body(request.body);
  if (!body.ok()) return refuse(request, *reply, body.status());
  generate(request, body->contains("messages") ? read_chat(*body) : read_completion(*body), reply);
}

void Gateway::generate(const HttpRequest& request, absl::StatusOr<GenerationQuery> query,
                       const std::shared_ptr<HttpReply>& reply) {
  if (!query.ok()) return refuse(request, *reply, query.status());
  auto job = job_of(*query);
  if (!job.ok()) return refuse(request, *reply, job.status());
  const std::string id = new_id(query->chat ? "chatcmpl-" : "cmpl-");
  AnswerFacts facts{query->chat, id, std::time(nullptr), options_.model_name, fingerprint_};
  AnswerForm form{query->choices(), query->stream, query->include_usage, headers_of(request),
                  query->return_ids};
  form.calls = call_reading(*query);
  if (query->return_ids) {
    for (const Job::Prompt& prompt : (*job)->prompts) form.prompts.push_back(prompt.ids);
  }
  (*job)->answer = std::make_unique<Answer>(std::move(facts), std::move(form), reply);
  if (options_.page) (*job)->trace = options_.page->answers().begin(id, std::time(nullptr));
  submit(*job, *reply);
}

void Gateway::submit(const std::shared_ptr<Job>& job, HttpReply& reply) {
  // Not the job: it holds the reply, by its answer.
  reply.on_gone([weak = std::weak_ptr<Job>(job)] {
    if (const auto alive = weak.lock()) alive->stop.stop(SIGHUP);
  });
  if (auto status = engine_.submit(job); !status.ok()) job->answer->fail(status);
}

absl::Status Gateway::add_words(const GenerationQuery& query, SamplingOptions& sampling) const {
  const model::Tokenizer& tokenizer = *user_model_.tokenizer;
  for (const std::string& word : query.bad_words) {
    // As it is spelled, and behind a space, which most tokenizers write into the token.
    for (const std::string& spelled : {word, " " + word}) {
      auto ids = tokenizer.encode(spelled, {.add_special_tokens = false});
      if (!ids.ok()) return ids.status();
      if (!ids->empty()) sampling.rules.bad_words.push_back(*std::move(ids));
    }
  }
  std::vector<std::int32_t> allowed = query.sampling.allowed_ids;
  if (allowed.empty()) return absl::OkStatus();
  std::ranges::sort(allowed);
  if (allowed.back() >= user_model_.config.vocabulary) {
    return bad_field("allowed_token_ids",
                     fmt::format("{} is no token id of this model", allowed.back()));
  }
  for (std::int32_t id = 0; id < user_model_.config.vocabulary; ++id) {
    if (!std::ranges::binary_search(allowed, id)) sampling.rules.suppressed.push_back(id);
  }
  return absl::OkStatus();
}

std::optional<CallReading> Gateway::call_reading(const GenerationQuery& query) const {
  if (!query.tools || query.tools->choice == ToolQuery::Choice::kNone) return std::nullopt;
  CallReading reading{tool_family_, {}, query.tools->several, [family = tool_family_] {
                        return new_call_id(family);
                      }};
  for (const auto& function : query.tools->functions) reading.names.push_back(function.first);
  return reading;
}

// A form, a call, or where both are asked for and neither is a must, one of them.
absl::Status Gateway::set_form(const GenerationQuery& query, GenerateRequest& request) {
  std::vector<constrain::Form> forms;
  std::string param;
  const bool calls = query.tools && query.tools->choice != ToolQuery::Choice::kNone;
  if (query.form) {
    if (must_call(query)) {
      return bad_field(query.form->param, "and a tool_choice that must call ask for two forms");
    }
    forms.push_back(query.form->form);
    param = query.form->param;
  }
  const model::Tokenizer& tokenizer = *user_model_.tokenizer;
  const auto control_id = [&](std::string_view text) -> std::optional<std::int32_t> {
    const auto id = tokenizer.id_of(text);
    return id && tokenizer.is_special(*id) ? id : std::nullopt;
  };
  if (calls) {
    for (const std::string& marker : tool_markers(tool_family_)) {
      if (const auto id = control_id(marker)) request.shown_specials.push_back(*id);
    }
    if (must_call(query) || query.form) {
      constrain::CallForm form = call_form(
          tool_family_, [&](std::string_view text) { return control_id(text).has_value(); });
      form.functions = query.tools->functions;
      form.several = query.tools->several;
      forms.emplace_back(std::move(form));
      if (param.empty()) param = "tools";
    }
  }
  if (forms.empty()) return absl::OkStatus();
  auto found = constraints_.find(forms);
  if (!found.ok()) return bad_field(param, std::string(found.status().message()));
  request.constraint = *std::move(found);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Job>> Gateway::job_of(const GenerationQuery& query) {
  if (auto status = check_model(query.model); !status.ok()) return status;
  if (query.choices() > engine_.most_choices()) {
    return bad_field("n", fmt::format("{} choices in one request, where this server has room for "
                                      "{} at a time (--max-concurrent, --max-queue)",
                                      query.choices(), engine_.most_choices()));
  }
  auto job = std::make_shared<Job>();
  const model::GenerationConfig& config = user_model_.generation;
  const char* param = query.chat ? "messages" : "prompt";
  std::size_t longest = 0;
  for (const ApiPrompt& one : query.prompts) {
    auto prompt = prompt_of(one, query.add_special_tokens);
    if (!prompt.ok()) return prompt.status();
    truncate(*prompt, query);
    if (auto fits = check_prompt_length(prompt->ids.size(), user_model_.config.max_positions);
        !fits.ok()) {
      return bad_field(param, std::string(fits.message()), "context_length_exceeded");
    }
    longest = std::max(longest, prompt->ids.size());
    job->prompts.push_back(*std::move(prompt));
  }
  job->n = static_cast<std::size_t>(query.n);
  job->echo = query.echo;
  job->echo_scores = query.echo && query.top_logprobs.has_value();
  GenerateRequest& request = job->request;
  request.max_tokens =
      query.max_tokens.value_or(config.max_new_tokens.value_or(options_.chat_tokens));
  request.sampling = sampling_of(query.sampling, config);
  if (auto status = add_words(query, request.sampling); !status.ok()) return status;
  if (auto status = validate(request.sampling); !status.ok()) return status;
  request.seed = query.seed.value_or(base::random_seed());
  request.stops = query.stops;
  request.stops.insert(request.stops.end(), config.stop_strings.begin(), config.stop_strings.end());
  request.stop_ids = query.stop_ids;
  request.ignore_eos = query.ignore_eos;
  request.with_stop = query.with_stop;
  request.special_tokens = query.special_tokens;
  job->ids_as_texts = query.ids_as_texts;
  request.top_logprobs = query.top_logprobs;
  if (auto status = set_form(query, request); !status.ok()) return status;
  return job;
}

void Gateway::truncate(Job::Prompt& prompt, const GenerationQuery& query) const {
  if (query.truncate_to == 0) return;
  const std::int64_t most =
      query.truncate_to > 0 ? query.truncate_to : user_model_.config.max_positions - 1;
  const std::int64_t over = std::ssize(prompt.ids) - most;
  if (over <= 0) return;
  prompt.ids.erase(prompt.ids.begin(), prompt.ids.begin() + over);
  if (!query.echo) return;
  if (auto text = user_model_.tokenizer->decode(prompt.ids); text.ok()) prompt.text = *text;
}

absl::StatusOr<Job::Prompt> Gateway::prompt_of(const ApiPrompt& prompt,
                                               bool add_special_tokens) const {
  const model::Tokenizer& tokenizer = *user_model_.tokenizer;
  if (const auto* messages = std::get_if<ApiMessages>(&prompt)) {
    auto ids = ids_of(*messages);
    if (!ids.ok()) return ids.status();
    return Job::Prompt{*std::move(ids), ""};
  }
  if (const auto* text = std::get_if<std::string>(&prompt)) {
    auto ids = add_special_tokens ? tokenizer.encode(*text)
                                  : tokenizer.encode(*text, {.add_special_tokens = false});
    if (!ids.ok()) return ids.status();
    return Job::Prompt{*std::move(ids), *text};
  }
  const auto& ids = std::get<std::vector<std::int32_t>>(prompt);
  for (const std::int32_t id : ids) {
    if (id >= user_model_.config.vocabulary) {
      return bad_field("prompt", fmt::format("{} is no token id of this model, which has {}", id,
                                             user_model_.config.vocabulary));
    }
  }
  auto text = tokenizer.decode(ids, /*skip_special_tokens=*/false);
  if (!text.ok()) return text.status();
  return Job::Prompt{ids, *std::move(text)};
}

absl::StatusOr<std::vector<std::int32_t>> Gateway::ids_of(const ApiMessages& messages) const {
  if (!template_) {
    return bad_field("messages",
                     "this model has no chat template: use /v1/completions, or start the server "
                     "with --chat-template FILE",
                     "no_chat_template");
  }
  model::chat::Conversation conversation;
  conversation.messages = messages.messages;
  conversation.documents = messages.documents;
  conversation.extra = messages.template_arguments;
  conversation.tools = messages.tools;
  conversation.add_generation_prompt = messages.add_generation_prompt;
  conversation.now = local_now();
  const auto refused = [](const absl::Status& status) {
    return bad_field("messages", std::string(status.message()), "template_error");
  };
  auto segments = template_->render(conversation);
  if (!segments.ok()) return refused(segments.status());
  if (messages.continue_final) {
    const std::string last = conversation.messages.back().value("content", std::string());
    if (auto status = end_with_message(*segments, last); !status.ok()) return refused(status);
  }
  auto ids = segment_ids(*user_model_.tokenizer, *segments);
  if (!ids.ok()) return refused(ids.status());
  return ids;
}

}  // namespace shoal::client
