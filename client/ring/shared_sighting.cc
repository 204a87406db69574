// SPDX-License-Identifier: Apache-2.0
#include "client/ring/shared_sighting.h"

#include <algorithm>

namespace shoal::client {

absl::StatusOr<Sighting> SharedSighting::get(const base::StopToken& stop) {
  {
    const base::MutexLock lock(mutex_);
    while (true) {
      if (stop.stopped()) return stop.status();
      if (sighting_ && Clock::now() - seen_at_ < kLifetime) return *sighting_;
      if (!looking_) break;
      changed_.wait_until(mutex_, Clock::now() + base::kStopPoll);
    }
    looking_ = true;
    ++looks_;
  }
  absl::StatusOr<Sighting> found = look_(stop);
  const base::MutexLock lock(mutex_);
  looking_ = false;
  if (found.ok()) {
    sighting_ = *found;
    seen_at_ = Clock::now();
  } else {
    sighting_.reset();
  }
  changed_.notify_all();
  return found;
}

void SharedSighting::add_load(const Route& route, std::uint32_t positions) {
  const base::MutexLock lock(mutex_);
  if (!sighting_) return;
  for (Candidate& candidate : sighting_->answers.candidates) {
    for (const Hop& hop : route) {
      if (candidate.peer != hop.peer) continue;
      std::uint32_t& free = candidate.load.free_kv_positions;
      free -= std::min(free, positions);
      ++candidate.load.queue_depth;
    }
  }
}

void SharedSighting::forget() {
  const base::MutexLock lock(mutex_);
  sighting_.reset();
}

std::size_t SharedSighting::looks() const {
  const base::MutexLock lock(mutex_);
  return looks_;
}

}  // namespace shoal::client
