// SPDX-License-Identifier: Apache-2.0
#include "node/signals.h"

#include <signal.h>
#include <unistd.h>

#include <utility>

namespace shoal::node {
namespace {

bool is_ignored(int number) {
  struct sigaction action {};
  return sigaction(number, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
         action.sa_handler == SIG_IGN;
}

sigset_t signals_to_handle() {
  // A supervisor that ignores SIGTERM itself still wants to be able to end us.
  signal(SIGTERM, SIG_DFL);
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    if (!is_ignored(number)) sigaddset(&set, number);
  }
  return set;
}

}  // namespace

Signals::Signals(std::function<void()> last_resort)
    : handled_(signals_to_handle()), last_resort_(std::move(last_resort)) {
  pthread_sigmask(SIG_BLOCK, &handled_, nullptr);
  // A reader of our log, or a peer, that is gone is an error of one write.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // ulimit -f: writing says so
  thread_ = std::thread([this] { loop(); });
}

Signals::~Signals() {
  done_ = true;
  thread_.join();
}

void Signals::loop() {
  const timespec poll{0, 50'000'000};  // also how long the destructor may take
  while (!done_) {
    const int number = sigtimedwait(&handled_, nullptr, &poll);
    if (number <= 0) continue;
    if (hurry_.stopped()) {
      last_resort_();
      _exit(128 + number);
    }
    if (stop_.stopped()) hurry_.stop(number);
    const base::MutexLock lock(mutex_);
    stop_.stop(number);
    stopped_.notify_all();
  }
}

void Signals::ask_to_stop() {
  const base::MutexLock lock(mutex_);
  stop_.stop(SIGTERM);
  stopped_.notify_all();
}

bool Signals::wait_for_stop(std::chrono::milliseconds most) {
  const base::MutexLock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + most;
  while (!stop_.stopped() && stopped_.wait_until(mutex_, deadline)) continue;
  return stop_.stopped();
}

}  // namespace shoal::node
