// SPDX-License-Identifier: Apache-2.0
#include "client/cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace shoal::client {
namespace {

// A signal handler has no other way to reach them.
base::StopToken g_interrupt, g_guard_token;

std::atomic<bool> g_guarded{false}, g_guard_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void on_signal(int number) {
  // The token comes last: whoever it stops finds out why.
  if (number == SIGINT && g_guarded && !g_guard_interrupted.exchange(true)) {
    g_guard_token.stop(number);
    return;
  }
  if (g_interrupt.stopped()) _exit(128 + number);
  g_interrupt.stop(number);
  g_guard_token.stop(number);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  forget();
  g_guarded = true;
}
InterruptGuard::~InterruptGuard() { g_guarded = false; }
bool InterruptGuard::interrupted() const { return g_guard_interrupted; }
const base::StopToken& InterruptGuard::token() const { return g_guard_token; }
void InterruptGuard::forget() {
  g_guard_token.stop(0);
  g_guard_interrupted = false;
  if (g_interrupt.stopped()) g_guard_token.stop(g_interrupt.signal());  // that is for good
}

base::StopToken& interrupt_by_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a read from the terminal returns, so that Ctrl-C works while a prompt is being
  // typed.
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    // What we inherited as ignored stays so: nohup, and shells that start something in the
    // background, mean it. SIGTERM always works.
    struct sigaction inherited {};
    const bool ignored = sigaction(number, nullptr, &inherited) == 0 &&
                         (inherited.sa_flags & SA_SIGINFO) == 0 && inherited.sa_handler == SIG_IGN;
    if (number == SIGTERM || !ignored) sigaction(number, &action, nullptr);
  }
  sigset_t ours;
  sigemptyset(&ours);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ours, number);
  pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
  // A reader or a peer that went away is seen by the write.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // ulimit -f: writing says so
  return g_interrupt;
}

}  // namespace shoal::client
