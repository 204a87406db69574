// SPDX-License-Identifier: Apache-2.0
#include "client/serve/answer.h"

#include <utility>

namespace shoal::client {

Answer::Answer(AnswerFacts facts, AnswerForm form, std::shared_ptr<HttpReply> reply)
    : facts_(std::move(facts)),
      form_(std::move(form)),
      reply_(std::move(reply)),
      choices_(form_.choices),
      left_(form_.choices) {
  if (form_.calls) {
    for (Choice& choice : choices_) {
      choice.reader.emplace(form_.calls->family, form_.calls->names, form_.calls->several);
    }
  }
  if (form_.stream) reply_->expect_stream(form_.headers, StreamForm::kEvents);
}

void Answer::prompt_tokens(std::int64_t tokens, std::int64_t cached) {
  base::MutexLock lock(mutex_);
  usage_.prompt_tokens += tokens;
  usage_.cached_tokens += cached;
}

void Answer::begin(std::size_t choice) {
  if (!form_.stream || std::exchange(choices_[choice].begun, true) || !facts_.chat) return;
  reply_->write(role_event(facts_, choice, form_.include_usage));
}

nlohmann::ordered_json Answer::take_scores(Choice& choice) {
  return logprobs_json(facts_.chat, std::exchange(choice.scores, {}), &choice.offset);
}

TokenIds Answer::take_ids(std::size_t choice) {
  if (!form_.token_ids) return {};
  Choice& of = choices_[choice];
  TokenIds ids{std::exchange(of.ids, {}), nullptr};
  if (!std::exchange(of.prompt_told, true)) {
    ids.prompt = form_.prompts[choice * form_.prompts.size() / choices_.size()];
  }
  return ids;
}

void Answer::token(std::size_t choice, std::int32_t id) {
  if (!form_.token_ids) return;
  base::MutexLock lock(mutex_);
  choices_[choice].ids.push_back(id);
}

void Answer::score(std::size_t choice, ScoredToken token) {
  base::MutexLock lock(mutex_);
  if (over_) return;
  begin(choice);
  choices_[choice].scores.push_back(std::move(token));
}

void Answer::text(std::size_t choice, const std::string& text) {
  base::MutexLock lock(mutex_);
  if (over_) return;
  begin(choice);
  Choice& of = choices_[choice];
  if (of.reader) {
    tell(choice, of.reader->push(text));
  } else {
    say(choice, text);
  }
}

void Answer::say(std::size_t choice, const std::string& text) {
  Choice& of = choices_[choice];
  if (form_.stream) {
    reply_->write(
        text_event(facts_, choice, text, take_scores(of), form_.include_usage, take_ids(choice)));
  } else {
    of.text += text;
  }
}

void Answer::tell(std::size_t choice, const std::vector<ToolEvent>& events) {
  Choice& of = choices_[choice];
  for (const ToolEvent& event : events) {
    ToolCall part;
    switch (event.kind) {
      case ToolEvent::Kind::kText:
        say(choice, event.text);
        continue;
      case ToolEvent::Kind::kCall:
        part = {form_.calls->new_id(), event.text, ""};
        of.calls.push_back(part);
        break;
      case ToolEvent::Kind::kArguments:
        part.arguments = event.text;
        of.calls.back().arguments += event.text;
        break;
    }
    if (!form_.stream) continue;
    reply_->write(
        call_event(facts_, choice, event.call, part, take_scores(of), form_.include_usage));
  }
}

void Answer::end(std::size_t choice, const ChoiceEnd& end, std::int64_t completion_tokens) {
  base::MutexLock lock(mutex_);
  if (over_) return;
  begin(choice);
  Choice& of = choices_[choice];
  if (of.reader) tell(choice, of.reader->finish());
  of.end = end;
  if (!of.calls.empty() && end.finish_reason == "stop") of.end.finish_reason = "tool_calls";
  usage_.completion_tokens += completion_tokens;
  if (form_.stream) {
    reply_->write(end_event(facts_, choice, "", take_scores(of), of.end, form_.include_usage,
                            take_ids(choice)));
  }
  if (--left_ > 0) return;
  over_ = true;
  if (form_.stream) {
    if (form_.include_usage) reply_->write(usage_event(facts_, usage_));
    reply_->write(kDoneEvent);
    reply_->finish();
    return;
  }
  auto list = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < choices_.size(); ++i) {
    list.push_back(choice_json(facts_.chat, i, choices_[i].text, choices_[i].calls,
                               take_scores(choices_[i]), choices_[i].end, take_ids(i)));
  }
  reply_->respond(
      {200, "application/json", answer_body(facts_, std::move(list), usage_), form_.headers});
}

void Answer::fail(const absl::Status& status) {
  base::MutexLock lock(mutex_);
  if (std::exchange(over_, true)) return;
  HttpResponse response = error_response(api_error(status));
  response.headers.insert(response.headers.end(), form_.headers.begin(), form_.headers.end());
  if (reply_->respond(std::move(response))) return;
  reply_->write(error_event(api_error(status)));
  reply_->write(kDoneEvent);
  reply_->finish();
}

}  // namespace shoal::client
