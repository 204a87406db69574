// SPDX-License-Identifier: Apache-2.0
// What a node tells the service manager that started it (systemd, Type=notify): that it is up, what
// it does, that it is alive, that it ends. The protocol of sd_notify(3): datagrams to the socket
// that $NOTIFY_SOCKET names; without one nothing happens. Owns that socket and a thread. Construct
// after Signals, before other threads; the methods are for the thread that runs the node.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/mutex.h"

namespace shoal::node {

// What is to be told at one moment. Value class; time by argument, in milliseconds.
class Heartbeat {
 public:
  // `watchdog_ms`: how long the manager bears silence; absent: for ever.
  Heartbeat(std::optional<std::uint64_t> watchdog_ms, std::uint64_t now_ms)
      : watchdog_ms_(watchdog_ms), started_ms_(now_ms) {}

  // From here on the node's own thread must show that it lives; from starting and draining,
  // which take as long as they take, nobody expects that.
  void serve(std::uint64_t now_ms) { beat_ms_ = now_ms; }
  void beat(std::uint64_t now_ms) {
    if (beat_ms_) beat_ms_ = now_ms;
  }
  void drain() { beat_ms_.reset(); }

  struct Due {
    bool ready = false;  // once: the node serves, or has been starting for long enough
    bool alive = false;  // several times within the manager's patience, while the node lives
  };
  Due due(std::uint64_t now_ms);

 private:
  const std::optional<std::uint64_t> watchdog_ms_;
  const std::uint64_t started_ms_;
  std::optional<std::uint64_t> beat_ms_;  // while it serves
  std::optional<std::uint64_t> alive_told_ms_;
  bool ready_told_ = false;
};

class ServiceManager {
 public:
  ServiceManager();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // One line for `systemctl status`.
  void tell(const std::string& what);
  void serves(const std::string& what);
  void beat();
  // No node is there for a while, and one will be: until serves() nobody expects a beat.
  void rests(const std::string& what);
  // It may take so long.
  void ends(std::chrono::milliseconds most);

 private:
  void loop();
  void send(const std::string& text) const;

  int socket_ = -1;
  std::string address_;  // of the manager's socket; empty: there is none
  base::Mutex mutex_;
  base::CondVar changed_;
  std::optional<Heartbeat> heartbeat_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace shoal::node
