// SPDX-License-Identifier: Apache-2.0
// The swarm as those see it who look at the page: one look for all of them, in a thread of its own,
// as seldom as the swarm is large, and none while nobody asks. Owns its thread. Thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/stop_token.h"
#include "client/swarm/swarm_view.h"

namespace shoal::client {

struct SwarmSight {
  absl::StatusOr<SwarmView> view = absl::UnknownError("");
  std::chrono::steady_clock::time_point at;
};

class SwarmWatch {
 public:
  using Look = std::function<absl::StatusOr<SwarmView>(const base::StopToken& stop)>;
  using Told = std::function<void(const SwarmSight& sight)>;

  explicit SwarmWatch(Look look);
  ~SwarmWatch();  // stop()

  // With what is known, at once where it is not too old, else after a look, from another thread.
  void ask(const Told& told);
  std::size_t looks() const;
  // Tells those who wait, and all who ask from now on, that it is over, and joins. Once.
  void stop();

  // Between looks: two seconds, and longer where many nodes are asked.
  static std::chrono::milliseconds pause_for(std::size_t nodes);

 private:
  void work();

  const Look look_;
  base::StopToken stop_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::shared_ptr<const SwarmSight> sight_ ABSL_GUARDED_BY(mutex_);
  std::vector<Told> waiting_ ABSL_GUARDED_BY(mutex_);
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;  // since the last look began
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::size_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

}  // namespace shoal::client
