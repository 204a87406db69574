// SPDX-License-Identifier: Apache-2.0
#include "node/service/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>

namespace shoal::node {
namespace {

// A node that waits for its swarm, or loads for long, is up: `systemctl start` and a booting
// machine do not wait for it. What is wrong with options and files shows before.
constexpr std::uint64_t kUpMs = 15'000;
constexpr auto kLook = std::chrono::milliseconds(1'000);

std::uint64_t now_ms() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<std::uint64_t> number_of(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Absent: nobody watches, or another process is meant.
std::optional<std::uint64_t> watchdog_ms() {
  const std::string process = variable("WATCHDOG_PID");
  if (!process.empty() && process != std::to_string(getpid())) return std::nullopt;
  const auto us = number_of(variable("WATCHDOG_USEC"));
  if (!us || *us < 1'000) return std::nullopt;
  return *us / 1'000;
}

// One line, whatever is in it.
std::string line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

}  // namespace

Heartbeat::Due Heartbeat::due(std::uint64_t now_ms) {
  Due due;
  if (!ready_told_ && (beat_ms_ || now_ms >= started_ms_ + kUpMs)) due.ready = ready_told_ = true;
  if (!watchdog_ms_) return due;
  const bool lives = !beat_ms_ || now_ms < *beat_ms_ + *watchdog_ms_ / 2;
  const bool is_time = !alive_told_ms_ || now_ms >= *alive_told_ms_ + *watchdog_ms_ / 4;
  if (lives && is_time) {
    due.alive = true;
    alive_told_ms_ = now_ms;
  }
  return due;
}

ServiceManager::ServiceManager() {
  const std::string path = variable("NOTIFY_SOCKET");
  // "@NAME" is a socket without a file.
  if (path.size() < 2 || (path[0] != '/' && path[0] != '@')) return;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) return;
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return;
  address_ = path;
  if (address_[0] == '@') address_[0] = '\0';
  {
    const base::MutexLock lock(mutex_);
    heartbeat_.emplace(watchdog_ms(), now_ms());
  }
  thread_ = std::thread([this] { loop(); });
}

ServiceManager::~ServiceManager() {
  {
    const base::MutexLock lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  if (socket_ >= 0) close(socket_);
}

void ServiceManager::loop() {
  const base::MutexLock lock(mutex_);
  while (!done_) {
    const Heartbeat::Due due = heartbeat_->due(now_ms());
    if (due.ready) send("READY=1");
    if (due.alive) send("WATCHDOG=1");
    changed_.wait_until(mutex_, std::chrono::steady_clock::now() + kLook);
  }
}

void ServiceManager::tell(const std::string& what) { send("STATUS=" + line(what)); }

void ServiceManager::serves(const std::string& what) {
  tell(what);
  const base::MutexLock lock(mutex_);
  if (!heartbeat_) return;
  heartbeat_->serve(now_ms());
  changed_.notify_all();
}

void ServiceManager::beat() {
  const base::MutexLock lock(mutex_);
  if (heartbeat_) heartbeat_->beat(now_ms());
}

void ServiceManager::rests(const std::string& what) {
  tell(what);
  const base::MutexLock lock(mutex_);
  if (heartbeat_) heartbeat_->drain();
}

void ServiceManager::ends(std::chrono::milliseconds most) {
  {
    const base::MutexLock lock(mutex_);
    if (heartbeat_) heartbeat_->drain();
  }
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(most).count();
  send("STOPPING=1\nSTATUS=finishes its sessions\nEXTEND_TIMEOUT_USEC=" + std::to_string(us));
}

void ServiceManager::send(const std::string& text) const {
  if (address_.empty()) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // A manager that is gone, or does not read, is no reason to stop.
  [[maybe_unused]] const auto sent =
      sendto(socket_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
             reinterpret_cast<const sockaddr*>(&to), size);
}

}  // namespace shoal::node
