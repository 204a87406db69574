// SPDX-License-Identifier: Apache-2.0
// The part of SwarmPipeline that measures its hops, and leaves a route that lives for a better one.
#include <algorithm>
#include <limits>

#include "client/ring/swarm_pipeline.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;

// Between two looks at the swarm while a session is in trouble, and between two moves because of
// slowness: twice as long each time, so that a swarm that is slow all over is not run through.
constexpr milliseconds kFirstLookPause{1'000}, kMostLookPause{30'000};
constexpr milliseconds kFirstMovePause{2'000}, kMostMovePause{120'000};
// What was seen of others so long ago is of no use.
constexpr milliseconds kFresh{5'000};
constexpr milliseconds kNoteInterval{500};
// A generation goes on for about as long as it has, and hardly ends now.
constexpr double kLeastStepsLeft = 16;

}  // namespace

double SwarmPipeline::block_us(std::size_t hop, double stage_us) const {
  const StageCost& stage = plan_.stages[hop];
  return std::max(0.0, stage_us - stage.network_us - stage.head_us - kHopOverheadUs) /
         plan_.route[hop].span.size();
}

void SwarmPipeline::note_speed() {
  const auto now = Clock::now();
  if (now - noted_at_ < kNoteInterval) return;
  noted_at_ = now;
  for (std::size_t hop = 0; hop < plan_.route.size(); ++hop) {
    const auto stage_us = session_->pace().measured_us(hop);
    if (!stage_us) continue;
    memory_.measured(plan_.route[hop].peer, block_us(hop, *stage_us), now);
    memory_.worked(plan_.route[hop].peer, now);
  }
}

// Called every few milliseconds while the trouble lasts; looks around in the background.
bool SwarmPipeline::should_leave(const PaceTrouble& trouble) {
  const auto now = Clock::now();
  const bool slow = trouble.kind == PaceTrouble::Kind::kSlow;
  if (slow && now < next_move_) return false;
  if (auto found = scout_.poll()) {
    look_pause_ = std::clamp(look_pause_ * 2, kFirstLookPause, kMostLookPause);
    next_look_ = now + look_pause_;
    other_.reset();
    note_speed();
    if (found->ok()) {
      auto other = plan(**found, &trouble);
      if (other.ok() && other->clean && other->route != plan_.route) {
        other_ = *std::move(other);
        other_at_ = now;
      }
    }
  }
  if (other_ && now - other_at_ > kFresh) other_.reset();
  if (other_ && is_better(*other_, trouble)) {
    if (slow) {
      move_pause_ = std::clamp(move_pause_ * 2, kFirstMovePause, kMostMovePause);
      next_move_ = now + move_pause_;
    }
    leaving_ = true;
    return true;
  }
  if (!other_ && !scout_.running() && now >= next_look_)
    scout_.start(memory_.avoided(now), computed_);
  return false;
}

bool SwarmPipeline::is_better(const Plan& other, const PaceTrouble& trouble) const {
  const SessionPace& pace = session_->pace();
  // If even the hops that nobody complains of take longer than promised, so will others.
  double inflation = std::numeric_limits<double>::infinity();
  for (std::size_t hop = 0; hop < plan_.route.size(); ++hop) {
    const auto measured = pace.measured_us(hop);
    if (hop == trouble.hop || !measured || pace.promised_us(hop) <= 0) continue;
    inflation = std::min(inflation, *measured / pace.promised_us(hop));
  }
  if (inflation == std::numeric_limits<double>::infinity()) inflation = 1;
  Move move;
  move.waited_us = trouble.waited_us;
  // A promise is as loose as the other's; what is better than promised does not count against it.
  move.step_us = std::max(pace.step_us(), plan_.step_us());
  const double step_us = other.step_us() * std::max(1.0, inflation);
  move.other_step_us = step_us + other.kinds_us;
  const double row_us = prefill_row_us_ > 0 ? std::min(prefill_row_us_, step_us) : step_us / 2;
  const auto done = static_cast<double>(ids_.size());
  move.replay_us = done * row_us;
  move.steps_left =
      std::min(std::max(kLeastStepsLeft, done), static_cast<double>(options_.positions) - done);
  return worth_moving(move);
}

}  // namespace shoal::client
