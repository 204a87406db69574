// SPDX-License-Identifier: Apache-2.0
// SIGTERM, SIGINT and SIGHUP as flags: the first asks to stop, the second not to wait any longer,
// the third ends the process where it stands. Construct before any other thread exists: threads
// inherit that the signals are blocked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace shoal::node {

class Signals {
 public:
  // `last_resort` runs before the process is ended by the third signal.
  explicit Signals(std::function<void()> last_resort);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  const std::atomic<bool>& stop() const { return stop_; }
  const std::atomic<bool>& hurry() const { return hurry_; }
  void wait_for_stop();

 private:
  void loop();

  const std::function<void()> last_resort_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> hurry_ = false;
  std::atomic<bool> done_ = false;
  std::mutex mutex_;
  std::condition_variable stopped_;
  std::thread thread_;
};

}  // namespace shoal::node
