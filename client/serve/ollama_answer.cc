// SPDX-License-Identifier: Apache-2.0
#include "client/serve/ollama_answer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "client/serve/api_response.h"

namespace shoal::client {
namespace {

std::int64_t nanoseconds(double milliseconds) {
  return static_cast<std::int64_t>(std::max(milliseconds, 0.0) * 1e6);
}

// Arguments are an object here, not its text.
nlohmann::ordered_json calls_json(const std::vector<ToolCall>& calls) {
  auto list = nlohmann::ordered_json::array();
  for (const ToolCall& call : calls) {
    auto arguments = nlohmann::ordered_json::parse(call.arguments, nullptr, false);
    if (!arguments.is_object()) arguments = {{"text", call.arguments}};
    list.push_back(
        {{"id", call.id}, {"function", {{"name", call.name}, {"arguments", arguments}}}});
  }
  return list;
}

}  // namespace

std::string ollama_now() {
  using std::chrono::duration_cast;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = duration_cast<std::chrono::seconds>(now);
  const auto rest = duration_cast<std::chrono::microseconds>(now - seconds);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                     fmt::gmtime(static_cast<std::time_t>(seconds.count())), rest.count());
}

HttpResponse ollama_error(const ApiError& error) {
  HttpResponse response = error_response(error);
  response.body = to_text({{"error", error.message}});
  return response;
}

OllamaAnswer::OllamaAnswer(OllamaForm form, std::shared_ptr<HttpReply> reply)
    : form_(std::move(form)), reply_(std::move(reply)) {
  if (form_.calls) reader_.emplace(form_.calls->family, form_.calls->names, form_.calls->several);
  if (form_.stream) reply_->expect_stream(form_.headers, StreamForm::kLines);
}

OllamaAnswer::Json OllamaAnswer::part(const std::string& text) {
  Json json = {{"model", form_.model}, {"created_at", ollama_now()}};
  if (form_.chat) {
    json["message"] = {{"role", "assistant"}, {"content", text}};
  } else {
    json["response"] = text;
  }
  json["done"] = false;
  if (!scores_.empty()) {
    std::size_t offset = 0;
    json["logprobs"] = logprobs_json(/*chat=*/true, std::exchange(scores_, {}), &offset)["content"];
  }
  return json;
}

void OllamaAnswer::prompt_tokens(std::int64_t tokens, std::int64_t) {
  base::MutexLock lock(mutex_);
  prompt_tokens_ += tokens;
}

void OllamaAnswer::score(std::size_t, ScoredToken token) {
  base::MutexLock lock(mutex_);
  scores_.push_back(std::move(token));
}

void OllamaAnswer::text(std::size_t, const std::string& text) {
  base::MutexLock lock(mutex_);
  if (over_) return;
  if (reader_) {
    tell(reader_->push(text));
  } else {
    say(text);
  }
}

void OllamaAnswer::say(const std::string& text) {
  if (form_.stream) {
    reply_->write(to_text(part(text)) + "\n");
  } else {
    text_ += text;
  }
}

void OllamaAnswer::tell(const std::vector<ToolEvent>& events) {
  for (const ToolEvent& event : events) {
    switch (event.kind) {
      case ToolEvent::Kind::kText:
        say(event.text);
        break;
      case ToolEvent::Kind::kCall:
        calls_.push_back({form_.calls->new_id(), event.text, ""});
        break;
      case ToolEvent::Kind::kArguments:
        calls_.back().arguments += event.text;
        break;
    }
  }
}

void OllamaAnswer::end(std::size_t, const ChoiceEnd& end, std::int64_t completion_tokens) {
  base::MutexLock lock(mutex_);
  if (std::exchange(over_, true)) return;
  const double all_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began_).count();
  if (reader_) tell(reader_->finish());
  Json json = part(text_);
  if (!calls_.empty()) json["message"]["tool_calls"] = calls_json(calls_);
  if (form_.stream && !calls_.empty()) {  // before the last line, as its clients expect them
    reply_->write(to_text(json) + "\n");
    json = part("");
  }
  json["done"] = true;
  json["done_reason"] = end.finish_reason;
  json["total_duration"] = nanoseconds(all_ms);
  json["load_duration"] = nanoseconds(all_ms - end.total_ms);
  json["prompt_eval_count"] = prompt_tokens_;
  json["prompt_eval_duration"] = nanoseconds(end.prompt_ms);
  json["eval_count"] = completion_tokens;
  json["eval_duration"] = nanoseconds(end.total_ms - end.prompt_ms);
  if (form_.stream) {
    reply_->write(to_text(json) + "\n");
    reply_->finish();
  } else {
    reply_->respond({200, "application/json", to_text(json), form_.headers});
  }
}

void OllamaAnswer::fail(const absl::Status& status) {
  base::MutexLock lock(mutex_);
  if (std::exchange(over_, true)) return;
  HttpResponse response = ollama_error(api_error(status));
  const std::string line = response.body + "\n";
  response.headers.insert(response.headers.end(), form_.headers.begin(), form_.headers.end());
  if (reply_->respond(std::move(response))) return;
  reply_->write(line);
  reply_->finish();
}

}  // namespace shoal::client
