// SPDX-License-Identifier: Apache-2.0
#include "node/signals.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

namespace shoal::node {
namespace {

sigset_t handled() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  return set;
}

}  // namespace

Signals::Signals(std::function<void()> last_resort) : last_resort_(std::move(last_resort)) {
  const sigset_t set = handled();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
  thread_ = std::thread([this] { loop(); });
}

Signals::~Signals() {
  done_ = true;
  thread_.join();
}

void Signals::loop() {
  const sigset_t set = handled();
  const timespec poll{0, 50'000'000};  // also how long the destructor may take
  while (!done_) {
    const int number = sigtimedwait(&set, nullptr, &poll);
    if (number <= 0) continue;
    if (hurry_) {
      last_resort_();
      _exit(128 + number);
    }
    if (stop_) hurry_ = true;
    const std::lock_guard lock(mutex_);
    stop_ = true;
    stopped_.notify_all();
  }
}

void Signals::wait_for_stop() {
  std::unique_lock lock(mutex_);
  stopped_.wait(lock, [this] { return stop_.load(); });
}

}  // namespace shoal::node
