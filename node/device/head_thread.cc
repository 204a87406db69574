// SPDX-License-Identifier: Apache-2.0
#include "node/device/head_thread.h"

#include <algorithm>
#include <utility>

#include "base/finite.h"
#include "node/device/row_scores.h"

namespace shoal::node {
namespace {

using HeadClock = std::chrono::steady_clock;

std::uint32_t later(std::uint32_t us, HeadClock::duration by) {
  const auto more = std::chrono::duration_cast<std::chrono::microseconds>(by).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(us + more, us, 0xffffffff));
}

}  // namespace

HeadThread::HeadThread(std::shared_ptr<const SpanEnds> ends, std::function<absl::Status()> check,
                       std::size_t most_bytes)
    : ends_(std::move(ends)),
      check_(std::move(check)),
      most_bytes_(most_bytes),
      thread_([this] { loop(); }) {}

HeadThread::~HeadThread() { end(); }

void HeadThread::end() {
  stop();
  if (thread_.joinable()) thread_.join();
}

void HeadThread::stop() {
  std::vector<std::deque<Waiting>> dropped;  // outside the lock: may be the last to hold a session
  {
    const base::MutexLock lock(mutex_);
    stopping_ = true;
    for (auto session = waiting_.begin(); session != waiting_.end();) {
      dropped.push_back(drop(session++));
    }
  }
  changed_.notify_all();
}

void HeadThread::close(SessionKey key) {
  std::deque<Waiting> dropped;
  const base::MutexLock lock(mutex_);
  if (const auto session = waiting_.find(key); session != waiting_.end()) dropped = drop(session);
}

std::deque<HeadThread::Waiting> HeadThread::drop(
    std::map<SessionKey, std::deque<Waiting>>::iterator session) {
  std::deque<Waiting>& steps = session->second;
  std::deque<Waiting> dropped;
  while (!steps.empty() && !steps.back().in_call) {
    forget(steps.back());
    dropped.push_back(std::move(steps.back()));
    steps.pop_back();
  }
  if (steps.empty()) {
    waiting_.erase(session);
  } else {
    steps.front().dropped = true;
  }
  return dropped;
}

void HeadThread::forget(const Waiting& step) {
  bytes_ -= step.bytes;
  const auto peer = of_peer_.find(step.completion.peer);
  if (peer == of_peer_.end()) return;  // it had no bytes
  peer->second -= step.bytes;
  if (peer->second == 0) of_peer_.erase(peer);
}

void HeadThread::take(std::vector<Completion>& batch) {
  bool entered = false;
  std::vector<Completion> others;
  {
    const base::MutexLock lock(mutex_);
    if (stopping_) return;
    for (Completion& completion : batch) {
      const bool is_scored = completion.scores.any() && completion.output.status.ok();
      if (!is_scored && !waiting_.contains(completion.session)) {
        others.push_back(std::move(completion));
        continue;
      }
      std::size_t rows = 0;
      if (is_scored) rows = completion.scores.last_only ? 1 : completion.rows;
      const std::size_t bytes = completion.output.x.size() * sizeof(float);
      if (bytes_ + bytes > most_bytes_ || of_peer_[completion.peer] + bytes > most_bytes_ / 2) {
        completion.output = {};
        completion.output.status = absl::ResourceExhaustedError(
            "more rows of your sessions wait to be scored than this node keeps: send fewer steps "
            "at a time");
        rows = 0;
      }
      enter(std::move(completion), rows);
      entered = true;
    }
  }
  batch = std::move(others);
  if (entered) changed_.notify_all();
}

void HeadThread::enter(Completion completion, std::size_t rows) {
  Waiting step;
  if (rows > 0) {
    const std::size_t hidden = static_cast<std::size_t>(ends_->hidden());
    std::vector<float>& x = completion.output.x;
    step.rows = rows;
    if (x.size() > rows * hidden) {  // of a prefill only the last row stays
      x.erase(x.begin(), x.end() - static_cast<std::ptrdiff_t>(rows * hidden));
      x.shrink_to_fit();
    }
    step.scores.reserve(rows);
  }
  step.bytes = completion.output.x.size() * sizeof(float);
  step.since = HeadClock::now();
  bytes_ += step.bytes;
  of_peer_[completion.peer] += step.bytes;
  const SessionKey key = completion.session;
  step.completion = std::move(completion);
  waiting_[key].push_back(std::move(step));
}

bool HeadThread::crowded(SessionKey key, double part) const {
  const base::MutexLock lock(mutex_);
  const auto found = waiting_.find(key);
  if (found == waiting_.end() || found->second.size() < 2) return false;
  const auto peer = of_peer_.find(found->second.front().completion.peer);
  const double of_peer = peer == of_peer_.end() ? 0 : static_cast<double>(peer->second);
  const double room = part * static_cast<double>(most_bytes_) / 2;
  return static_cast<double>(bytes_) > room || of_peer > room / 2;
}

HeadStats HeadThread::stats() const {
  const base::MutexLock lock(mutex_);
  return stats_;
}

void HeadThread::loop() {
  std::vector<Part> parts;
  while (choose(parts)) {
    absl::Status status = compute(parts);
    if (status.ok()) status = check_();
    for (Waiting& step : finished(parts, status)) {
      if (step.dropped) continue;
      StepOutput& output = step.completion.output;
      output.scores = std::move(step.scores);
      if (step.rows > 0) output.x.clear();
      const auto waited = HeadClock::now() - step.since - step.took;
      output.queue_us = later(output.queue_us, std::max(waited, HeadClock::duration::zero()));
      output.compute_us = later(output.compute_us, step.took);
      const StepDone done = std::move(step.completion.done);
      done(std::move(output));
    }
  }
}

bool HeadThread::choose(std::vector<Part>& parts) {
  parts.clear();
  const base::MutexLock lock(mutex_);
  while (!stopping_ && waiting_.empty()) changed_.wait(mutex_);
  if (stopping_) return false;
  // In turn, each as many as leaves room for one row of all others: a token does not wait until a
  // whole text is scored.
  const std::size_t sessions = waiting_.size();
  const std::size_t share =
      std::max<std::size_t>(1, static_cast<std::size_t>(kHeadRows) / sessions);
  std::size_t left = static_cast<std::size_t>(kHeadRows);
  auto next = waiting_.upper_bound(last_turn_);
  for (std::size_t i = 0; i < sessions && left > 0; ++i, ++next) {
    if (next == waiting_.end()) next = waiting_.begin();
    Waiting& first = next->second.front();
    const std::size_t rows = std::min({first.rows - first.done, share, left});
    first.in_call = true;
    parts.push_back({&first, rows});
    left -= rows;
    last_turn_ = next->first;
  }
  return true;
}

absl::Status HeadThread::compute(const std::vector<Part>& parts) {
  const auto hidden = static_cast<std::size_t>(ends_->hidden());
  const auto vocabulary = static_cast<std::size_t>(ends_->vocabulary());
  const auto begun = HeadClock::now();
  rows_.clear();
  for (const Part& part : parts) {
    const auto begin =
        part.of->completion.output.x.begin() + static_cast<std::ptrdiff_t>(part.of->done * hidden);
    rows_.insert(rows_.end(), begin, begin + static_cast<std::ptrdiff_t>(part.rows * hidden));
  }
  if (rows_.empty()) return absl::OkStatus();
  logits_.resize(rows_.size() / hidden * vocabulary);
  ends_->head()->logits(rows_, logits_);
  const bool finite = base::all_finite(logits_);
  std::span<const float> logits = logits_;
  for (const Part& part : parts) {
    if (part.rows == 0) continue;
    Waiting& step = *part.of;
    const proto::ScoresWanted& wanted = step.completion.scores.wanted;
    const std::size_t also = wanted.also.size() / step.rows;
    for (std::size_t row = 0; finite && row < part.rows; ++row) {
      const std::size_t at = step.done + row;
      step.scores.push_back(row_scores(logits.subspan(row * vocabulary, vocabulary), wanted.top,
                                       std::span(wanted.also).subspan(at * also, also)));
    }
    logits = logits.subspan(part.rows * vocabulary);
  }
  const auto took = HeadClock::now() - begun;
  for (const Part& part : parts) part.of->took += took;
  const base::MutexLock lock(mutex_);
  stats_.rows += rows_.size() / hidden;
  ++stats_.calls;
  if (finite) return absl::OkStatus();
  return absl::InternalError("the head computed a value that is not finite");
}

std::vector<HeadThread::Waiting> HeadThread::finished(const std::vector<Part>& parts,
                                                      const absl::Status& status) {
  std::vector<Waiting> done;
  const base::MutexLock lock(mutex_);
  for (const Part& part : parts) {
    Waiting& own = *part.of;
    own.in_call = false;
    own.done += part.rows;
    if (!status.ok() && part.rows > 0) {
      own.completion.output.status = status;
      own.scores.clear();
    }
    const SessionKey key = own.completion.session;
    std::deque<Waiting>& steps = waiting_.at(key);
    // With it goes what only waited for it, and what has gone wrong.
    while (!steps.empty()) {
      Waiting& step = steps.front();
      if (step.done < step.rows && step.completion.output.status.ok() && !step.dropped) break;
      forget(step);
      done.push_back(std::move(step));
      steps.pop_front();
    }
    if (steps.empty()) waiting_.erase(key);
  }
  return done;
}

}  // namespace shoal::node
