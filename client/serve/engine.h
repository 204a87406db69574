// SPDX-License-Identifier: Apache-2.0
// Runs the choices of requests, so many at a time, each in a session of its own; others wait in a
// queue that is bounded too. A request whose client has gone ends at once, wherever it is. Owns its
// threads. Thread-safe. The model must share its ends (user_model.h) where threads are several.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/stop_token.h"
#include "client/serve/answer_sink.h"
#include "client/serve/answer_trace.h"
#include "client/serve/serve_metrics.h"
#include "client/text/generate.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"
#include "model/pooling.h"

namespace shoal::client {

struct SessionNeeds {
  std::int64_t positions = 0;
  std::vector<std::int32_t> reusable_prompt{};  // empty: every row is wanted
};
// Called from several threads; the token outlives the pipeline.
using OpenSession = std::function<absl::StatusOr<std::unique_ptr<Pipeline>>(
    SessionNeeds needs, const base::StopToken& stop)>;

// A request, ready to run. Choice i goes on from prompt i / n.
struct Job {
  struct Prompt {
    std::vector<std::int32_t> ids;
    std::string text;  // for echo
  };
  std::vector<Prompt> prompts;
  std::size_t n = 1;
  GenerateRequest request;  // but for the prompt; choice i draws with seed + i
  bool echo = false;
  bool echo_scores = false;   // the prompt's log probabilities too
  bool ids_as_texts = false;  // of tokens in log probabilities: "token_id:5"
  // One vector of each prompt, by this rule, and no text: as so many choices, which share them.
  std::optional<model::Pooling> pooling{};
  std::size_t lanes = 1;
  base::StopToken stop{};  // its client has gone
  std::unique_ptr<AnswerSink> answer;
  std::chrono::steady_clock::time_point submitted{};
  std::shared_ptr<AnswerTrace> trace{};  // of its first choice; null: nobody asks for it

  std::size_t choices() const { return pooling ? lanes : prompts.size() * n; }
};

class Engine {
 public:
  struct Options {
    std::size_t running = 16;  // choices at a time
    std::size_t queue = 64;    // and waiting
  };
  Engine(const UserModel& user_model, OpenSession open, Options options);
  ~Engine();  // stop()

  // All of its choices or none: RESOURCE_EXHAUSTED when there is no room, UNAVAILABLE when it has
  // been stopped. The job's answer is told all else.
  absl::Status submit(const std::shared_ptr<Job>& job);
  std::size_t most_choices() const { return options_.running + options_.queue; }
  std::size_t unfinished() const;  // choices
  std::string metrics(const std::string& model_name) const;
  // Fails what runs and waits, and joins.
  void stop();

 private:
  struct Part {
    std::shared_ptr<Job> job;
    std::size_t choice = 0;
  };
  struct Ended {
    ChoiceEnd end;
    std::int64_t tokens = 0;
  };
  void work();
  // The answer hears of the end from work(), when the choice's place is free: who asks again at
  // once finds room.
  absl::StatusOr<Ended> run(Job& job, std::size_t choice);
  absl::StatusOr<Ended> generate_choice(Job& job, std::size_t choice, ChoiceCount& count);
  absl::StatusOr<Ended> embed(Job& job, std::size_t lane, ChoiceCount& count);
  absl::Status score_prompt(Job& job, std::size_t choice, Pipeline& pipeline);
  ScoredToken scored(const Job& job, const TokenScore& score) const;
  std::string text_of(const Job& job, std::int32_t id) const;

  const UserModel& user_model_;
  const OpenSession open_;
  const Options options_;
  ServeMetrics metrics_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::deque<Part> waiting_ ABSL_GUARDED_BY(mutex_);
  std::multiset<std::shared_ptr<Job>> running_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace shoal::client
