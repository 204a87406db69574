// SPDX-License-Identifier: Apache-2.0
// Where the time of answers went, hop by hop: a trace of each of the last ones, by id, while they
// are made and after. Times and counts only, nothing that was said. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "client/text/generate.h"
#include "client/text/pipeline.h"

namespace shoal::client {

// A value, pure: steps of one answer added up. The first step is the prompt's; the others are one
// token each, and their sums begin anew with another route.
class StepSums {
 public:
  void add(const StepTiming& timing, double client_us);

  struct Way {
    std::int64_t steps = 0;      // in the sums: those of which every hop but the last told in time
    std::int64_t last_told = 0;  // of these, so many of which the last did too
    StepTiming sum{};            // its total is without the client's own share
    double client_us = 0;
    // Of one step, microseconds. What the last hop did not tell is as in the steps of which it did.
    StepTiming mean() const;
  };
  const Way& prompt() const { return prompt_; }
  const Way& tokens() const { return tokens_; }

 private:
  bool begun_ = false;
  Way prompt_, tokens_;
};

class AnswerTrace {
 public:
  AnswerTrace(std::string id, std::int64_t created) : id_(std::move(id)), created_(created) {}

  void begin(std::int64_t prompt_tokens);
  void step(const StepTiming& timing, double client_us);
  void end(const GenerateResult& result, std::int64_t cached_tokens, int reroutes);
  void fail();

  const std::string& id() const { return id_; }
  bool running() const;
  bool has_begun() const;  // its prompt has passed
  Route route() const;     // peers and spans alone; empty before the first step
  nlohmann::ordered_json json() const;

 private:
  enum class State { kWaiting, kRunning, kDone, kFailed };

  const std::string id_;
  const std::int64_t created_;
  mutable base::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kWaiting;
  StepSums sums_ ABSL_GUARDED_BY(mutex_);
  std::int64_t prompt_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t cached_tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  std::int64_t tokens_ ABSL_GUARDED_BY(mutex_) = 0;
  int reroutes_ ABSL_GUARDED_BY(mutex_) = 0;
  double first_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  double total_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string finish_reason_ ABSL_GUARDED_BY(mutex_);
};

class AnswerLog {
 public:
  std::shared_ptr<AnswerTrace> begin(const std::string& id, std::int64_t created);
  std::shared_ptr<AnswerTrace> find(const std::string& id) const;  // null: too long ago, or never
  std::shared_ptr<AnswerTrace> last() const;  // that has begun, if any; null: none
  std::vector<std::shared_ptr<AnswerTrace>> running() const;

 private:
  std::vector<std::shared_ptr<AnswerTrace>> all() const;

  static constexpr std::size_t kKept = 256;  // more than may run and wait at a time by default
  mutable base::Mutex mutex_;
  std::deque<std::shared_ptr<AnswerTrace>> traces_ ABSL_GUARDED_BY(mutex_);  // the newest last
};

}  // namespace shoal::client
