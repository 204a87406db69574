// SPDX-License-Identifier: Apache-2.0
#include "node/control/owner_desk.h"

#include <chrono>
#include <optional>
#include <utility>

#include "node/control/control_server.h"
#include "node/control/pausing.h"

namespace shoal::node {
namespace {

// Within what ask_node() waits.
constexpr std::chrono::seconds kResumePatience{4};

// The swarm counts without it.
bool is_away(const NodeStatus& status) {
  return status.state == name_of(Pausing::State::kPaused) ||
         status.state == name_of(Pausing::State::kDraining);
}

}  // namespace

void OwnerDesk::show(NodeStatus status) {
  {
    const base::MutexLock lock(mutex_);
    status_ = std::move(status);
  }
  shown_.notify_all();
}

void OwnerDesk::close() {
  {
    const base::MutexLock lock(mutex_);
    closed_ = true;
  }
  shown_.notify_all();
}

Wish OwnerDesk::wish() {
  const std::int64_t now = clock_();
  const base::MutexLock lock(mutex_);
  return wish_.at(now, local_time(now));
}

void OwnerDesk::set_hours(Hours hours, bool free_by_hours) {
  const base::MutexLock lock(mutex_);
  wish_.set_hours(std::move(hours), free_by_hours);
}

std::string OwnerDesk::answer(const ControlRequest& request) {
  using Verb = ControlRequest::Verb;
  const std::int64_t now = clock_();
  NodeStatus status;
  StatusContext context;
  {
    const base::MutexLock lock(mutex_);
    if (request.verb != Verb::kStatus && status_.bootstrap) {
      return error_json(
          "a bootstrap node serves no blocks, so there is nothing to pause: stop it with Ctrl-C or "
          "SIGTERM");
    }
    if (request.verb == Verb::kResume) {
      wish_.resume();
      const auto deadline = std::chrono::steady_clock::now() + kResumePatience;
      while (is_away(status_) && !closed_ && shown_.wait_until(mutex_, deadline)) {
      }
    } else if (request.verb != Verb::kStatus) {
      OwnerWish::Pause pause{
          .free = request.free, .all_the_time = request.verb == Verb::kDrain, .stop = request.stop};
      if (request.for_s) pause.until_unix_s = now + *request.for_s;
      wish_.pause(pause);
    }
    context.wish = wish_.at(now, local_time(now));
    context.hours = wish_.hours().text();
    status = status_;
  }
  context.run = account_.run();
  context.hour = account_.hour();
  context.since_day_one = account_.since_day_one();
  context.energy_sources = account_.energy_sources();
  return node_status_json(status, context);
}

}  // namespace shoal::node
