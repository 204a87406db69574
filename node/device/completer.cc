// SPDX-License-Identifier: Apache-2.0
#include "node/device/completer.h"

#include <algorithm>
#include <utility>

namespace shoal::node {
namespace {

// A step without rows, one that failed, waits too.
std::size_t weight_of(const StepOutput& output) {
  return output.x.size() * sizeof(float) + sizeof(Completion);
}

std::size_t weight_of(const std::vector<Completion>& batch) {
  std::size_t bytes = 0;
  for (const Completion& completion : batch) bytes += weight_of(completion.output);
  return bytes;
}

std::uint32_t later_by(std::uint32_t us, std::chrono::steady_clock::duration wait) {
  const auto more = std::chrono::duration_cast<std::chrono::microseconds>(wait).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(us + more, us, 0xffffffff));
}

}  // namespace

Completer::Completer(std::size_t most_bytes)
    : most_bytes_(most_bytes), thread_([this] { loop(); }) {}

Completer::~Completer() {
  stop();
  thread_.join();
}

void Completer::put(std::vector<Completion> batch) {
  if (batch.empty()) return;
  const std::size_t bytes = weight_of(batch);
  {
    const base::MutexLock lock(mutex_);
    while (!stopping_ && bytes_ > 0 && bytes_ + bytes > most_bytes_) changed_.wait(mutex_);
    if (stopping_) return;
    bytes_ += bytes;
    const auto now = Clock::now();
    for (Completion& completion : batch) {
      const std::size_t weight = weight_of(completion.output);
      waiting_.push_back({std::move(completion), now, weight});
    }
  }
  changed_.notify_all();
}

void Completer::put_idle(std::vector<Completion> batch) {
  if (weight_of(batch) > kMostToldAtOnce || telling()) return put(std::move(batch));
  for (Completion& completion : batch) {
    const StepDone done = std::move(completion.done);
    done(std::move(completion.output));
  }
}

bool Completer::telling() const {
  const base::MutexLock lock(mutex_);
  return bytes_ > 0 || stopping_;
}

void Completer::stop() {
  std::deque<Waiting> dropped;  // outside the lock: may be the last to hold a session
  {
    const base::MutexLock lock(mutex_);
    stopping_ = true;
    dropped.swap(waiting_);
  }
  changed_.notify_all();
}

void Completer::loop() {
  Waiting next;
  while (take(next)) {
    StepOutput& output = next.completion.output;
    output.queue_us = later_by(output.queue_us, Clock::now() - next.since);
    next.completion.done(std::move(output));
    next.completion = {};  // outside the lock
  }
}

bool Completer::take(Waiting& next) {
  const base::MutexLock lock(mutex_);
  bytes_ -= std::exchange(next.bytes, 0);
  changed_.notify_all();
  while (!stopping_ && waiting_.empty()) changed_.wait(mutex_);
  if (stopping_) return false;
  next = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

}  // namespace shoal::node
