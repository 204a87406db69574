// SPDX-License-Identifier: Apache-2.0
// The part of SwarmPipeline that loses a session, or one that never came to be: whose fault it was,
// whether to try again, and when.
#include <fmt/format.h>

#include <algorithm>

#include "base/awaited.h"
#include "client/ring/swarm_pipeline.h"
#include "net/channel_pool.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;

// A swarm that has just been started may need a moment until its records can be found.
constexpr milliseconds kStartTime{1'500};
// Failures that can be answered by going elsewhere at once end after this or the wait.
constexpr milliseconds kLeastTrying{10'000};
constexpr milliseconds kWaitTick{100};

std::string what_of(const absl::Status& status) { return std::string(status.message()); }

double seconds_of(milliseconds time) { return static_cast<double>(time.count()) / 1e3; }

}  // namespace

bool SwarmPipeline::is_final(absl::StatusCode code) {
  return code == absl::StatusCode::kInvalidArgument || code == absl::StatusCode::kOutOfRange ||
         code == absl::StatusCode::kFailedPrecondition || code == absl::StatusCode::kUnimplemented;
}

absl::Status SwarmPipeline::give_up_opening(const absl::Status& status) {
  if (options_.sighting != nullptr) options_.sighting->forget();
  const milliseconds asked = session_->failure().retry_after;
  blame(session_->failure());
  session_.reset();
  const auto most = std::max(kLeastTrying, options_.wait);
  if (has_elsewhere(plan_) && Clock::now() - lost_at_ < most) return absl::OkStatus();
  return is_permanent(status) ? status : give_way(status, asked);
}

bool SwarmPipeline::is_permanent(const absl::Status& status) const {
  if (!is_final(status.code())) return false;
  // Once served, a model may be so again; and the records of a new swarm take a moment.
  if (status.code() == absl::StatusCode::kFailedPrecondition) {
    return !opened_ && Clock::now() - began_ > kStartTime;
  }
  return true;
}

bool SwarmPipeline::has_elsewhere(const Plan& failed) const {
  const auto other = replan(failed.candidates, nullptr);
  return other.ok() && other->clean;
}

void SwarmPipeline::lose(const absl::Status& status) {
  lost_at_ = Clock::now();
  const RingFailure& failure = session_->failure();
  const std::string what = failure.lost ? describe_blocks({*failure.lost}) : "the session";
  const bool is_news =
      leaving_ || !failure.culprit ||
      repeated_.lost(*failure.culprit, failure.before ? failure.before : failure.told_by, status,
                     lost_at_);
  if (is_news) tell(fmt::format("{} {}: {}", leaving_ ? "moves" : "lost", what, what_of(status)));
  blame(failure);
  session_.reset();
  scout_.stop();
  if (!leaving_) other_.reset();
  leaving_ = false;
}

// Connections that have not noticed that the network was away.
void SwarmPipeline::drop_channels() {
  for (const Hop& hop : plan_.route) swarm_.channels().drop(hop.peer);
}

void SwarmPipeline::blame(const RingFailure& failure) {
  if (!failure.culprit) return;
  // It is asked again first.
  if (failure.changed && changed_.insert(*failure.culprit).second) return;
  const auto now = Clock::now();
  if (failure.status.code() == absl::StatusCode::kResourceExhausted) {
    return memory_.refused(*failure.culprit, failure.retry_after, now);
  }
  if (failure.trouble) {
    const PaceTrouble& trouble = *failure.trouble;
    if (trouble.waited_us > 0) {
      memory_.measured(*failure.culprit, block_us(trouble.hop, trouble.waited_us), now);
    }
  }
  if (failure.before) return memory_.cut(*failure.before, *failure.culprit, now);
  if (failure.trouble && failure.trouble->kind == PaceTrouble::Kind::kSlow) return;
  memory_.failed(*failure.culprit, now);
  swarm_.channels().drop(*failure.culprit);
}

absl::Status SwarmPipeline::give_way(const absl::Status& failure, milliseconds asked) {
  if (stop_waiting_.stopped()) return stop_waiting_.status();
  const auto now = Clock::now();
  auto pause = patience_.failed(now, asked);
  if (!pause && !opened_ && now - began_ < kStartTime) pause = Patience::kFirstPause;
  if (!pause) {
    const double waited = seconds_of(patience_.waited(now));
    if (waited < 1) return failure;
    const bool is_repeated = repeated_.times() > 1 && failure == repeated_.why();
    const std::string times = is_repeated ? fmt::format(", lost {} times", repeated_.times()) : "";
    return absl::Status(failure.code(),
                        fmt::format("{} (waited {:.0f} s{})", what_of(failure), waited, times));
  }
  if (*pause > milliseconds(0) && options_.wait > milliseconds(0) && !told_waiting_ &&
      !is_final(failure.code())) {
    told_waiting_ = true;
    tell(fmt::format("waits up to {:.0f} s (--wait): {}",
                     seconds_of(options_.wait - patience_.waited(now)), what_of(failure)));
  }
  return sleep(*pause) ? absl::OkStatus() : stop_waiting_.status();
}

bool SwarmPipeline::sleep(milliseconds time) {
  const auto until = Clock::now() + time;
  for (;;) {
    const auto now = Clock::now();
    if (told_waiting_ && options_.on_wait) options_.on_wait(patience_.waited(now), options_.wait);
    if (now >= until) return !stop_waiting_.stopped();
    const auto left = std::chrono::ceil<milliseconds>(until - now);
    if (!base::sleep_for(std::min(left, kWaitTick), stop_waiting_)) return false;
  }
}

}  // namespace shoal::client
