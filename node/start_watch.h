// SPDX-License-Identifier: Apache-2.0
// Has a node give up starting when it is no longer wanted: a start may wait for its swarm for days.
// Owns a thread, which asks; what it asks must be thread-safe.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "base/stop_token.h"

namespace shoal::node {

class StartWatch {
 public:
  // `stop`: of the program, for as long as this lives. `unwanted`: asked until began().
  StartWatch(const base::StopToken& stop, std::function<bool()> unwanted);
  ~StartWatch();
  StartWatch(const StartWatch&) = delete;
  StartWatch& operator=(const StartWatch&) = delete;

  // Stopped when the program is to stop, or the start is unwanted.
  const base::StopToken& token() const { return token_; }
  // It has started: from now on others take it down.
  void began() { began_ = true; }

 private:
  void loop();

  const base::StopToken& stop_;
  const std::function<bool()> unwanted_;
  base::StopToken token_;
  std::atomic<bool> began_ = false;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

}  // namespace shoal::node
