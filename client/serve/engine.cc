// SPDX-License-Identifier: Apache-2.0
#include "client/serve/engine.h"

#include <signal.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "client/serve/api_error.h"
#include "client/text/embedding.h"

namespace shoal::client {
namespace {

// Rows of a prompt that is scored, at a time: bounds what is held of them.
constexpr std::size_t kScoredRows = 128;

absl::Status stopped_status() {
  return absl::UnavailableError("the server is shutting down: try again");
}

double seconds_since(std::chrono::steady_clock::time_point then) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

ChoiceEnd end_of(const GenerateResult& result) {
  ChoiceEnd end{result.finish_reason, nullptr, result.time_to_first_token_ms, result.total_ms};
  if (result.stopped_by_id) {
    end.stop_reason = *result.stopped_by_id;
  } else if (!result.stopped_by.empty()) {
    end.stop_reason = result.stopped_by;
  }
  return end;
}

}  // namespace

Engine::Engine(const UserModel& user_model, OpenSession open, Options options)
    : user_model_(user_model), open_(std::move(open)), options_(options) {
  for (std::size_t i = 0; i < options_.running; ++i) threads_.emplace_back([this] { work(); });
}

Engine::~Engine() { stop(); }

absl::Status Engine::submit(const std::shared_ptr<Job>& job) {
  {
    base::MutexLock lock(mutex_);
    if (stopped_) return stopped_status();
    job->submitted = std::chrono::steady_clock::now();
    // Nobody waits for these any more.
    std::erase_if(waiting_, [](const Part& part) { return part.job->stop.stopped(); });
    if (running_.size() + waiting_.size() + job->choices() > most_choices()) return queue_full();
    for (std::size_t i = 0; i < job->choices(); ++i) waiting_.push_back({job, i});
  }
  changed_.notify_all();
  return absl::OkStatus();
}

std::size_t Engine::unfinished() const {
  base::MutexLock lock(mutex_);
  return running_.size() + waiting_.size();
}

std::string Engine::metrics(const std::string& model_name) const {
  std::size_t running = 0, waiting = 0;
  {
    base::MutexLock lock(mutex_);
    running = running_.size();
    waiting = waiting_.size();
  }
  return metrics_.text(model_name, running, waiting);
}

void Engine::stop() {
  std::deque<Part> waiting;
  {
    base::MutexLock lock(mutex_);
    stopped_ = true;
    waiting.swap(waiting_);
    for (const std::shared_ptr<Job>& job : running_) job->stop.stop(SIGTERM);
  }
  changed_.notify_all();
  for (const Part& part : waiting) part.job->answer->fail(stopped_status());
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Engine::work() {
  for (;;) {
    Part part;
    {
      base::MutexLock lock(mutex_);
      while (!stopped_ && waiting_.empty()) changed_.wait(mutex_);
      if (stopped_) return;
      part = std::move(waiting_.front());
      waiting_.pop_front();
      running_.insert(part.job);
    }
    const absl::StatusOr<Ended> ended = run(*part.job, part.choice);
    {
      base::MutexLock lock(mutex_);
      running_.erase(running_.find(part.job));
      if (!ended.ok()) {  // nor do its other choices wait any longer
        std::erase_if(waiting_, [&](const Part& other) { return other.job == part.job; });
      }
    }
    if (ended.ok()) {
      part.job->answer->end(part.choice, ended->end, ended->tokens);
    } else {
      part.job->answer->fail(ended.status());
      part.job->stop.stop(SIGTERM);  // the other choices of the answer
    }
  }
}

absl::StatusOr<Engine::Ended> Engine::run(Job& job, std::size_t choice) {
  absl::StatusOr<Ended> ended;
  ChoiceCount count;
  metrics_.started(seconds_since(job.submitted));
  try {
    ended = job.pooling ? embed(job, choice, count) : generate_choice(job, choice, count);
  } catch (const std::exception& error) {  // out of memory, or a library that threw
    ended = absl::InternalError(error.what());
  }
  if (!ended.ok()) {
    if (job.trace) job.trace->fail();
    count.reason = job.stop.stopped() ? "abort" : "error";
  } else {
    count.reason = ended->end.finish_reason;
    count.seconds = seconds_since(job.submitted);
  }
  metrics_.ended(count);
  return ended;
}

absl::StatusOr<Engine::Ended> Engine::generate_choice(Job& job, std::size_t choice,
                                                      ChoiceCount& count) {
  if (job.stop.stopped()) return stopped_status();  // to nobody, but when the server ends
  const Job::Prompt& prompt = job.prompts[choice / job.n];
  AnswerTrace* const trace = choice == 0 ? job.trace.get() : nullptr;
  if (trace) trace->begin(static_cast<std::int64_t>(prompt.ids.size()));
  GenerateRequest request = job.request;
  request.prompt_ids = prompt.ids;
  request.seed += choice;
  const std::int64_t positions =
      positions_needed(prompt.ids.size(), std::max<std::int64_t>(request.max_tokens, 1),
                       user_model_.config.max_positions);
  auto pipeline =
      open_({positions, job.echo_scores ? std::vector<std::int32_t>() : prompt.ids}, job.stop);
  if (!pipeline.ok()) return pipeline.status();
  const auto prompt_length = static_cast<std::int64_t>(prompt.ids.size());
  count.prompt_tokens = prompt_length;
  metrics_.opened((*pipeline)->route().size(), prompt_length, (*pipeline)->reused_positions());
  if (job.echo_scores) {
    if (auto status = score_prompt(job, choice, **pipeline); !status.ok()) return status;
  }
  if (job.echo) job.answer->text(choice, prompt.text);
  GenerateResult result;
  result.finish_reason = "length";
  if (request.max_tokens > 0) {
    GenerateObserver observer;
    observer.on_text = [&](const std::string& text) { job.answer->text(choice, text); };
    observer.on_score = [&](const TokenScore& score) {
      job.answer->score(choice, scored(job, score));
    };
    observer.on_token = [&](std::int32_t id) { job.answer->token(choice, id); };
    auto last = std::chrono::steady_clock::now();
    observer.on_step = [&](std::size_t token, const StepTiming& timing, double client_us) {
      const auto now = std::chrono::steady_clock::now();
      if (token == 0) {
        metrics_.first_token(seconds_since(job.submitted));
      } else {
        metrics_.next_token(std::chrono::duration<double>(now - last).count());
      }
      last = now;
      metrics_.step(timing);
      if (trace) trace->step(timing, client_us);
      ++count.generated_tokens;
    };
    auto generated = generate(**pipeline, user_model_, request, job.stop, observer);
    metrics_.rerouted((*pipeline)->reroutes());
    if (!generated.ok()) return generated.status();
    result = *std::move(generated);
  }
  if (trace) trace->end(result, (*pipeline)->reused_positions(), (*pipeline)->reroutes());
  if (result.finish_reason == "interrupted") return stopped_status();
  if (choice % job.n == 0) {
    job.answer->prompt_tokens(prompt_length, (*pipeline)->reused_positions());
  }
  return Ended{end_of(result), static_cast<std::int64_t>(result.ids.size())};
}

// All rows but the last, which generate() asks for.
absl::Status Engine::score_prompt(Job& job, std::size_t choice, Pipeline& pipeline) {
  const std::vector<std::int32_t>& ids = job.prompts[choice / job.n].ids;
  const int top = job.request.top_logprobs.value_or(0);
  const auto wanted = static_cast<std::uint32_t>(std::max(top, 1));
  job.answer->score(choice, {text_of(job, ids.front()), std::nullopt, {}});
  for (std::size_t begin = 0; begin + 1 < ids.size(); begin += kScoredRows) {
    const std::size_t count = std::min(kScoredRows, ids.size() - 1 - begin);
    const auto targets = std::span(ids).subspan(begin + 1, count);
    absl::Status done = pipeline.each_scores(
        std::span(ids).subspan(begin, count), {wanted, {targets.begin(), targets.end()}},
        [&](std::size_t row, const Scores& scores) {
          if (job.stop.stopped()) return stopped_status();
          job.answer->score(choice, scored(job, score_token(scores.logits, targets[row], top,
                                                            scores.rest_log_sum)));
          return absl::OkStatus();
        });
    if (!done.ok()) return done;
  }
  return absl::OkStatus();
}

// A vector of every so-manieth prompt, one after the other through one session.
absl::StatusOr<Engine::Ended> Engine::embed(Job& job, std::size_t lane, ChoiceCount& count) {
  if (job.stop.stopped()) return stopped_status();
  std::size_t longest = 0;
  for (std::size_t i = lane; i < job.prompts.size(); i += job.lanes) {
    longest = std::max(longest, job.prompts[i].ids.size());
  }
  auto opened = open_({static_cast<std::int64_t>(longest)}, job.stop);
  if (!opened.ok()) return opened.status();
  Pipeline& pipeline = **opened;
  for (std::size_t i = lane; i < job.prompts.size(); i += job.lanes) {
    if (job.stop.stopped()) return stopped_status();
    const std::vector<std::int32_t>& ids = job.prompts[i].ids;
    pipeline.truncate(0);
    auto values = embedding_of(pipeline, user_model_, *job.pooling, ids);
    if (!values.ok()) return values.status();
    count.prompt_tokens += static_cast<std::int64_t>(ids.size());
    job.answer->embedding(i, *std::move(values));
  }
  metrics_.opened(pipeline.route().size(), count.prompt_tokens, 0);
  metrics_.rerouted(pipeline.reroutes());
  job.answer->prompt_tokens(count.prompt_tokens, 0);
  return Ended{{"stop", nullptr}, 0};
}

ScoredToken Engine::scored(const Job& job, const TokenScore& score) const {
  ScoredToken token{text_of(job, score.token.id), score.token.logprob, {}};
  for (const TokenLogprob& top : score.top) {
    token.top.emplace_back(text_of(job, top.id), top.logprob);
  }
  return token;
}

std::string Engine::text_of(const Job& job, std::int32_t id) const {
  if (job.ids_as_texts) return "token_id:" + std::to_string(id);
  auto text = user_model_.tokenizer->decode({&id, 1}, /*skip_special_tokens=*/false);
  return text.ok() ? *std::move(text) : "";
}

}  // namespace shoal::client
