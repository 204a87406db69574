// SPDX-License-Identifier: Apache-2.0
// SIGTERM, SIGINT and SIGHUP as tokens: the first asks to stop, the second not to wait any longer,
// the third ends the process where it stands. SIGINT or SIGHUP that the process inherited as
// ignored stays so: nohup, and shells that start something in the background, mean it. Construct
// before any other thread exists: threads inherit that the signals are blocked.
#pragma once

#include <signal.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "base/mutex.h"
#include "base/stop_token.h"

namespace shoal::node {

class Signals {
 public:
  // `last_resort` runs before the process is ended by the third signal.
  explicit Signals(std::function<void()> last_resort);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  const base::StopToken& stop() const { return stop_; }
  const base::StopToken& hurry() const { return hurry_; }
  // True when a stop was asked for, false after `most`.
  bool wait_for_stop(std::chrono::milliseconds most);
  // As the first signal does.
  void ask_to_stop();

 private:
  void loop();

  const sigset_t handled_;
  const std::function<void()> last_resort_;
  base::StopToken stop_;
  base::StopToken hurry_;
  std::atomic<bool> done_ = false;
  base::Mutex mutex_;
  base::CondVar stopped_;
  std::thread thread_;
};

}  // namespace shoal::node
