// SPDX-License-Identifier: Apache-2.0
#include "client/ring/session_pace.h"

#include <algorithm>

#include "base/check.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;

// A session that makes no progress asks its hops for signs of life, again and again.
constexpr milliseconds kProbeInterval{500};
// A hop that has answered heartbeats before, and not the one sent so long ago, is lost.
constexpr milliseconds kSilenceLimit{2'000};
// Between two checks lies at most a tenth of this, unless our own process was stopped.
constexpr milliseconds kPauseOfOurs{1'000};
// What a promise is good for: machines have other users, too.
constexpr double kPromiseFactor = 3, kHistoryFactor = 4;
constexpr double kSlackUs = 20'000;
// So much time lost against that, in one step or in many, and we look for a better route.
constexpr double kPatienceUs = 1'000'000;
constexpr double kMostDebtUs = 5'000'000;
// The first step through a hop may find its connection still being made.
constexpr double kFirstUseUs = 500'000, kFirstPushUs = 2'000'000;
// A living hop that holds the oldest step is given up after this, or after so many times its usual.
constexpr double kStallUs = 10'000'000, kStallFactor = 30;
constexpr int kLeastSamples = 3;
constexpr double kNewShare = 0.25, kSlowestFades = 0.9;

double us(SessionPace::Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

}  // namespace

SessionPace::SessionPace(std::vector<double> promised_us)
    : promised_us_(std::move(promised_us)), hops_(promised_us_.size()) {
  CHECK(!promised_us_.empty());
}

SessionPace::Step* SessionPace::find(std::uint64_t step) {
  const auto it = std::find_if(steps_.begin(), steps_.end(),
                               [&](const Step& candidate) { return candidate.id == step; });
  return it == steps_.end() ? nullptr : &*it;
}

void SessionPace::sent(std::uint64_t step, std::size_t rows, bool returns, Time now) {
  if (steps_.empty()) last_progress_ = last_probe_ = last_check_ = now;
  Step added;
  added.id = step;
  added.rows = rows;
  added.returns = returns;
  added.reached_at = now;
  added.acked.resize(hops_.size());
  steps_.push_back(std::move(added));
}

bool SessionPace::acked(std::size_t hop, std::uint64_t id, Time at) {
  Step* step = find(id);
  if (step == nullptr || step->acked[hop]) return false;
  step->acked[hop] = true;
  // A last hop that is done owes the result.
  advance(*step, hop + 1 == hops_.size() && step->returns ? hop : hop + 1, at);
  return true;
}

bool SessionPace::returned(std::uint64_t id, Time at) {
  Step* step = find(id);
  if (step == nullptr) return false;
  advance(*step, hops_.size(), at);
  return true;
}

void SessionPace::finished(std::uint64_t id) {
  std::erase_if(steps_, [&](const Step& step) { return step.id == id; });
  if (!steps_.empty()) last_progress_ = std::max(last_progress_, steps_.front().reached_at);
}

// The step is done at all hops before `reached`, whether they have said so or not.
void SessionPace::advance(Step& step, std::size_t reached, Time at) {
  if (reached <= step.reached) return;  // a late word of a hop before
  const std::size_t first = step.reached;
  // Of several hops that we hear of at once each gets the share that it promised.
  double promised = 0;
  Time begun = step.reached_at;
  for (std::size_t hop = first; hop < reached; ++hop) {
    promised += promised_us_[hop];
    begun = std::max(begun, hops_[hop].free_at);
  }
  for (std::size_t hop = first; hop < reached; ++hop) {
    const double share =
        promised > 0 ? promised_us_[hop] / promised : 1 / static_cast<double>(reached - first);
    account(hop, step.rows, share * us(at - begun));
    hops_[hop].used = true;
    hops_[hop].free_at = std::max(hops_[hop].free_at, at);
  }
  step.reached = reached;
  step.reached_at = std::max(step.reached_at, at);
  if (&step == &steps_.front()) last_progress_ = std::max(last_progress_, at);
}

void SessionPace::account(std::size_t hop, std::size_t rows, double took_us) {
  HopPace& pace = hops_[hop];
  took_us = std::max(0.0, took_us);
  pace.debt_us = std::clamp(pace.debt_us + took_us - allowed_us(hop, rows), 0.0, kMostDebtUs);
  if (!pace.used) return;  // it holds the making of a connection
  if (rows == 1) {
    pace.one_row_us = std::max(took_us, pace.one_row_us * kSlowestFades);
    pace.mean_us =
        pace.samples == 0 ? took_us : pace.mean_us + kNewShare * (took_us - pace.mean_us);
    ++pace.samples;
  } else {
    const double row_us = took_us / static_cast<double>(rows);
    pace.row_us = std::max(row_us, pace.row_us * kSlowestFades);
  }
}

double SessionPace::expected_us(std::size_t hop, std::size_t rows) const {
  const HopPace& pace = hops_[hop];
  const double usual = std::max(pace.one_row_us, pace.row_us * static_cast<double>(rows));
  return std::max(usual, promised_us_[hop] * static_cast<double>(rows));
}

double SessionPace::allowed_us(std::size_t hop, std::size_t rows) const {
  double allowed = kPromiseFactor * promised_us_[hop] * static_cast<double>(rows) + kSlackUs;
  if (!hops_[hop].used) allowed += hop == 0 ? kFirstUseUs : kFirstPushUs;
  return allowed;
}

void SessionPace::heard(std::size_t hop, Time at, bool heartbeat) {
  HopPace& pace = hops_[hop];
  if (heartbeat) pace.answers_heartbeats = true;
  if (pace.unanswered_since && at >= *pace.unanswered_since) pace.unanswered_since.reset();
}

bool SessionPace::wants_probe(Time now) const {
  return !steps_.empty() && now - std::max(last_progress_, last_probe_) >= kProbeInterval;
}

void SessionPace::probed(Time now) {
  last_probe_ = now;
  for (HopPace& hop : hops_) {
    if (!hop.unanswered_since) hop.unanswered_since = now;
  }
}

void SessionPace::forgive(Clock::duration gap) {
  for (HopPace& hop : hops_) {
    hop.free_at += gap;
    if (hop.unanswered_since) *hop.unanswered_since += gap;
  }
  for (Step& step : steps_) step.reached_at += gap;
  last_progress_ += gap;
  last_probe_ += gap;
}

std::optional<PaceTrouble> SessionPace::check(Time now) {
  if (steps_.empty()) return std::nullopt;
  if (now - last_check_ > kPauseOfOurs) forgive(now - last_check_);
  last_check_ = now;
  PaceTrouble trouble;
  trouble.promised_us = 0;
  for (const double promised : promised_us_) trouble.promised_us += promised;
  for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
    const HopPace& pace = hops_[hop];
    if (pace.answers_heartbeats && pace.unanswered_since &&
        now - *pace.unanswered_since > kSilenceLimit) {
      trouble.kind = PaceTrouble::Kind::kSilent;
      trouble.hop = hop;
      trouble.waited_us = us(now - *pace.unanswered_since);
      return trouble;
    }
  }
  const Step& oldest = steps_.front();
  if (oldest.reached >= hops_.size()) return std::nullopt;
  const std::size_t holder = oldest.reached;
  const HopPace& pace = hops_[holder];
  const double waited_us = us(now - std::max(oldest.reached_at, pace.free_at));
  const std::size_t rows = oldest.rows;
  if (waited_us > std::max(kStallUs, kStallFactor * expected_us(holder, rows))) {
    trouble.kind = PaceTrouble::Kind::kStalled;
    trouble.hop = holder;
    trouble.waited_us = waited_us;
    return trouble;
  }
  // By the promise, and by what this hop has shown it can do: a promise for many rows is loose.
  double allowed = allowed_us(holder, rows);
  if (pace.used && rows > 1 && pace.row_us > 0) {
    allowed =
        std::min(allowed, kHistoryFactor * pace.row_us * static_cast<double>(rows) + kSlackUs);
  }
  const double excess_us = std::max(0.0, waited_us - allowed);
  double debt_us = excess_us;
  std::size_t slowest = 0;
  for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
    debt_us += hops_[hop].debt_us;
    if (hops_[hop].debt_us > hops_[slowest].debt_us) slowest = hop;
  }
  if (debt_us <= kPatienceUs) return std::nullopt;
  if (excess_us < hops_[slowest].debt_us) {
    trouble.kind = PaceTrouble::Kind::kSlow;
    trouble.hop = slowest;
    trouble.step_us = step_us();
    return trouble;
  }
  trouble.hop = holder;
  trouble.waited_us = waited_us;
  const auto answers = [&](std::size_t hop) { return !hops_[hop].unanswered_since.has_value(); };
  if (holder > 0) {
    if (answers(holder) == answers(holder - 1)) {
      trouble.kind = PaceTrouble::Kind::kCut;
      return trouble;
    }
    if (answers(holder)) trouble.hop = holder - 1;  // it said that it was done, and then no more
  }
  trouble.kind = PaceTrouble::Kind::kStuck;
  return trouble;
}

std::optional<double> SessionPace::measured_us(std::size_t hop) const {
  if (hops_[hop].samples < kLeastSamples) return std::nullopt;
  return hops_[hop].mean_us;
}

double SessionPace::step_us() const {
  double sum = 0;
  for (std::size_t hop = 0; hop < hops_.size(); ++hop) {
    const HopPace& pace = hops_[hop];
    sum += pace.samples > 0 ? pace.mean_us : promised_us_[hop];
  }
  return sum;
}

bool worth_moving(const Move& move) {
  // A step that is stuck may be so for as long again as it has been.
  constexpr double kSureFactor = 1.25, kLeastGainUs = 200'000;
  constexpr double kFaster = 0.6;
  // What is stuck may never come: then a slower route is better than none.
  constexpr double kSlowerPatienceUs = 3'000'000;
  const double price = kSureFactor * move.replay_us + kLeastGainUs;
  if (move.other_step_us <= move.step_us * kFaster) {
    const double gain =
        move.waited_us + (move.step_us - move.other_step_us) * std::max(0.0, move.steps_left);
    return gain > price;
  }
  if (move.other_step_us <= move.step_us * kSureFactor) return move.waited_us > price;
  return move.waited_us > std::max(price, kSlowerPatienceUs);
}

}  // namespace shoal::client
