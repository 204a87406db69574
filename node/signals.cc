// SPDX-License-Identifier: Apache-2.0
#include "node/signals.h"

#include <fcntl.h>
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
  sigaddset(&set, SIGUSR1);
  return set;
}

bool has_terminal() {
  const int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (terminal >= 0) close(terminal);
  return terminal >= 0;
}

// The kernel says so to who is in the foreground; a shell passes it on to its other jobs, when the
// terminal is gone already. Without a terminal, or beside one that is still there, somebody means
// "read your configuration again".
bool is_of_closed_terminal(const siginfo_t& signal, bool had_terminal) {
  return signal.si_code == SI_KERNEL || (had_terminal && !has_terminal());
}

}  // namespace

Signals::Signals(std::function<void()> last_resort)
    : handled_(signals_to_handle()),
      had_terminal_(has_terminal()),
      last_resort_(std::move(last_resort)) {
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
    siginfo_t told{};
    const int number = sigtimedwait(&handled_, &told, &poll);
    if (number <= 0) continue;
    if (number == SIGUSR1) {
      ask(hand_over_);
    } else if (number == SIGHUP && !is_of_closed_terminal(told, had_terminal_)) {
      ask(reload_);
    } else {
      ask_to_stop(number);
    }
  }
}

void Signals::ask_to_stop(int number) {
  if (hurry_.stopped()) {
    last_resort_();
    _exit(128 + number);
  }
  if (stop_.stopped()) hurry_.stop(number);
  const base::MutexLock lock(mutex_);
  stop_.stop(number);
  stopped_.notify_all();
}

void Signals::ask(std::atomic<bool>& what) {
  const base::MutexLock lock(mutex_);
  what = true;
  stopped_.notify_all();
}

bool Signals::take_reload() { return reload_.exchange(false); }

bool Signals::wait_for_stop(std::chrono::milliseconds most) {
  const base::MutexLock lock(mutex_);
  const auto deadline = std::chrono::steady_clock::now() + most;
  while (!stop_.stopped() && !reload_ && !hand_over_ && stopped_.wait_until(mutex_, deadline))
    continue;
  return stop_.stopped();
}

}  // namespace shoal::node
