// SPDX-License-Identifier: Apache-2.0
// What a node is told by signals. SIGTERM, SIGINT, and SIGHUP of a terminal that closes: the first
// asks to stop, the second not to wait any longer, the third ends the process where it stands. Any
// other SIGHUP asks to read the configuration again, SIGUSR1 to hand over to a successor. SIGINT or
// SIGHUP that the process inherited as ignored stays so: nohup, and shells that start something in
// the background, mean it. Construct before any other thread exists: threads inherit that the
// signals are blocked.
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
  // True when a stop was asked for; false after `most`, or as soon as something else was.
  bool wait_for_stop(std::chrono::milliseconds most);
  // As the first signal does.
  void ask_to_stop() { ask_to_stop(SIGTERM); }
  // Whether the configuration is to be read again; once for each time that it was asked for.
  bool take_reload();
  bool hand_over_asked() const { return hand_over_; }

 private:
  void loop();
  void ask_to_stop(int number);
  void ask(std::atomic<bool>& what);

  const sigset_t handled_;
  const bool had_terminal_;
  const std::function<void()> last_resort_;
  base::StopToken stop_;
  base::StopToken hurry_;
  std::atomic<bool> done_ = false;
  std::atomic<bool> reload_ = false;
  std::atomic<bool> hand_over_ = false;
  base::Mutex mutex_;
  base::CondVar stopped_;
  std::thread thread_;
};

}  // namespace shoal::node
