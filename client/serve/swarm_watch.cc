// SPDX-License-Identifier: Apache-2.0
#include "client/serve/swarm_watch.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <memory>
#include <utility>

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kShortestPause{2'000};
constexpr std::chrono::milliseconds kPausePerNode{50};  // twenty questions a second, in all
constexpr std::chrono::milliseconds kLongestPause{15'000};
// Who comes back to a page after so long waits for a new look.
constexpr std::chrono::milliseconds kTooOld{30'000};
// More pages than anybody opens; others are told what there is.
constexpr std::size_t kMostWaiting = 64;

SwarmSight over_sight() {
  return {absl::UnavailableError("the server is shutting down"), Clock::now()};
}

}  // namespace

SwarmWatch::SwarmWatch(Look look) : look_(std::move(look)), thread_([this] { work(); }) {}

SwarmWatch::~SwarmWatch() { stop(); }

void SwarmWatch::stop() {
  if (!thread_.joinable()) return;
  std::vector<Told> waiting;
  {
    base::MutexLock lock(mutex_);
    ended_ = true;
    waiting.swap(waiting_);
  }
  stop_.stop(SIGTERM);
  changed_.notify_all();
  thread_.join();
  for (const Told& told : waiting) told(over_sight());
}

std::chrono::milliseconds SwarmWatch::pause_for(std::size_t nodes) {
  const auto most = static_cast<std::size_t>(kLongestPause / kPausePerNode);
  return std::max(kShortestPause, static_cast<int>(std::min(nodes, most)) * kPausePerNode);
}

void SwarmWatch::ask(const Told& told) {
  std::shared_ptr<const SwarmSight> known;
  {
    base::MutexLock lock(mutex_);
    wanted_ = true;
    const bool over = ended_ || waiting_.size() >= kMostWaiting;
    if (sight_ && (over || Clock::now() - sight_->at < kTooOld)) {
      known = sight_;
    } else if (over) {
      known = std::make_shared<SwarmSight>(over_sight());
    } else {
      waiting_.push_back(told);
    }
  }
  changed_.notify_all();
  if (known) told(*known);
}

std::size_t SwarmWatch::looks() const {
  base::MutexLock lock(mutex_);
  return looks_;
}

void SwarmWatch::work() {
  Clock::time_point next{};
  for (;;) {
    {
      base::MutexLock lock(mutex_);
      while (!ended_ && !wanted_) changed_.wait(mutex_);
      while (!ended_ && changed_.wait_until(mutex_, next)) {
      }
      if (ended_) return;
      wanted_ = false;
      ++looks_;
    }
    auto sight = std::make_shared<SwarmSight>();
    try {
      sight->view = look_(stop_);
    } catch (const std::exception& error) {  // out of memory
      sight->view = absl::InternalError(error.what());
    }
    sight->at = Clock::now();
    next = sight->at + pause_for(sight->view.ok() ? sight->view->nodes.size() : 0);
    std::vector<Told> waiting;
    {
      base::MutexLock lock(mutex_);
      sight_ = sight;
      waiting.swap(waiting_);
    }
    for (const Told& told : waiting) told(*sight);
  }
}

}  // namespace shoal::client
