// SPDX-License-Identifier: Apache-2.0
#include "client/serve/answer_trace.h"

#include <algorithm>
#include <utility>

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kMs = 1e-3;  // of a microsecond

bool same_way(const std::vector<HopTiming>& a, const std::vector<HopTiming>& b) {
  return std::ranges::equal(a, b, [](const HopTiming& one, const HopTiming& other) {
    return one.peer == other.peer && one.span == other.span;
  });
}

// A hop whose acknowledgement came behind the answer has said nothing of itself.
bool has_told(const HopTiming& hop) { return hop.compute_us > 0; }

// The last hop acknowledges behind its result: often too late, which is no loss.
bool is_measured(const StepTiming& timing) {
  return !timing.hops.empty() && std::all_of(timing.hops.begin(), timing.hops.end() - 1, has_told);
}

void add_to(StepSums::Way& way, const StepTiming& timing, double client_us) {
  if (way.sum.hops.empty()) {
    way.sum.hops = timing.hops;
  } else {
    for (std::size_t i = 0; i < timing.hops.size(); ++i) {
      way.sum.hops[i].queue_us += timing.hops[i].queue_us;
      way.sum.hops[i].compute_us += timing.hops[i].compute_us;
      way.sum.hops[i].network_us += timing.hops[i].network_us;
    }
  }
  way.sum.total_us += timing.total_us;
  way.sum.return_us += timing.return_us;
  way.client_us += client_us;
  ++way.steps;
  if (!timing.hops.empty() && has_told(timing.hops.back())) ++way.last_told;
}

Json way_json(const StepSums::Way& way) {
  if (way.steps == 0) return nullptr;
  const StepTiming mean = way.mean();
  Json hops = Json::array();
  for (const HopTiming& hop : mean.hops) {
    const bool here = hop.peer == proto::PeerId{};
    hops.push_back({{"peer", here ? "" : proto::to_string(hop.peer)},
                    {"name", here ? "" : proto::short_name(hop.peer)},
                    {"begin", hop.span.begin},
                    {"end", hop.span.end},
                    {"network_ms", hop.network_us * kMs},
                    {"queue_ms", hop.queue_us * kMs},
                    {"compute_ms", hop.compute_us * kMs}});
  }
  return {{"steps", way.steps},
          {"total_ms", mean.total_us * kMs},
          {"return_ms", mean.return_us * kMs},
          {"client_ms", way.client_us * kMs / static_cast<double>(way.steps)},
          {"hops", std::move(hops)}};
}

}  // namespace

StepTiming StepSums::Way::mean() const {
  StepTiming mean = sum;
  if (steps == 0) return mean;
  const double each = 1 / static_cast<double>(steps);
  mean.total_us *= each;
  mean.return_us *= each;
  for (HopTiming& hop : mean.hops) {
    hop.queue_us *= each;
    hop.compute_us *= each;
    hop.network_us *= each;
  }
  // Of a last hop that did not tell, all its time is in the way back.
  if (mean.hops.empty() || last_told == 0 || last_told == steps) return mean;
  HopTiming& last = mean.hops.back();
  const double untold = 1 - static_cast<double>(last_told) * each;
  last.queue_us /= 1 - untold;
  last.compute_us /= 1 - untold;
  last.network_us += std::max(0.0, mean.return_us - untold * (last.queue_us + last.compute_us));
  mean.return_us = 0;
  return mean;
}

void StepSums::add(const StepTiming& timing, double client_us) {
  if (!std::exchange(begun_, true)) {
    add_to(prompt_, timing, client_us);
    return;
  }
  if (!same_way(tokens_.sum.hops, timing.hops)) tokens_ = {};
  if (is_measured(timing)) add_to(tokens_, timing, client_us);
}

void AnswerTrace::begin(std::int64_t prompt_tokens) {
  base::MutexLock lock(mutex_);
  state_ = State::kRunning;
  prompt_tokens_ = prompt_tokens;
}

void AnswerTrace::step(const StepTiming& timing, double client_us) {
  base::MutexLock lock(mutex_);
  sums_.add(timing, client_us);
  ++tokens_;
}

void AnswerTrace::end(const GenerateResult& result, std::int64_t cached_tokens, int reroutes) {
  base::MutexLock lock(mutex_);
  state_ = State::kDone;
  finish_reason_ = result.finish_reason;
  tokens_ = static_cast<std::int64_t>(result.ids.size());
  first_ms_ = result.time_to_first_token_ms;
  total_ms_ = result.total_ms;
  cached_tokens_ = cached_tokens;
  reroutes_ = reroutes;
}

void AnswerTrace::fail() {
  base::MutexLock lock(mutex_);
  if (state_ != State::kDone) state_ = State::kFailed;
}

bool AnswerTrace::running() const {
  base::MutexLock lock(mutex_);
  return state_ == State::kRunning;
}

bool AnswerTrace::has_begun() const {
  base::MutexLock lock(mutex_);
  return sums_.prompt().steps > 0;
}

Route AnswerTrace::route() const {
  base::MutexLock lock(mutex_);
  const auto& hops = sums_.tokens().steps > 0 ? sums_.tokens().sum.hops : sums_.prompt().sum.hops;
  Route route;
  for (const HopTiming& hop : hops) {
    if (hop.peer == proto::PeerId{}) continue;  // this process
    route.push_back({.peer = hop.peer, .addresses = {}, .span = hop.span});
  }
  return route;
}

Json AnswerTrace::json() const {
  static constexpr const char* kStates[] = {"waiting", "running", "done", "failed"};
  base::MutexLock lock(mutex_);
  Json json = {{"id", id_},
               {"created", created_},
               {"state", kStates[static_cast<int>(state_)]},
               {"finish_reason", finish_reason_.empty() ? Json() : Json(finish_reason_)},
               {"prompt_tokens", prompt_tokens_},
               {"cached_tokens", cached_tokens_},
               {"completion_tokens", tokens_},
               {"first_token_ms", first_ms_},
               {"total_ms", total_ms_},
               {"reroutes", reroutes_}};
  json["prompt"] = way_json(sums_.prompt());
  json["token"] = way_json(sums_.tokens());  // the mean one
  return json;
}

std::shared_ptr<AnswerTrace> AnswerLog::begin(const std::string& id, std::int64_t created) {
  auto trace = std::make_shared<AnswerTrace>(id, created);
  base::MutexLock lock(mutex_);
  if (traces_.size() == kKept) traces_.pop_front();
  traces_.push_back(trace);
  return trace;
}

std::shared_ptr<AnswerTrace> AnswerLog::find(const std::string& id) const {
  base::MutexLock lock(mutex_);
  const auto found = std::ranges::find(traces_, id, [](const auto& trace) { return trace->id(); });
  return found == traces_.end() ? nullptr : *found;
}

std::vector<std::shared_ptr<AnswerTrace>> AnswerLog::all() const {
  base::MutexLock lock(mutex_);
  return {traces_.begin(), traces_.end()};
}

std::shared_ptr<AnswerTrace> AnswerLog::last() const {
  std::shared_ptr<AnswerTrace> found;
  for (const auto& trace : all()) {
    if (found == nullptr || trace->has_begun()) found = trace;
  }
  return found;
}

std::vector<std::shared_ptr<AnswerTrace>> AnswerLog::running() const {
  auto traces = all();
  std::erase_if(traces, [](const auto& trace) { return !trace->running(); });
  return traces;
}

}  // namespace shoal::client
