// SPDX-License-Identifier: Apache-2.0
#include "client/interrupt.h"

#include <signal.h>
#include <unistd.h>

namespace shoal::client {
namespace {

Interrupt g_interrupt;  // a signal handler has no other way to reach it

void on_signal(int number) {
  if (g_interrupt.triggered()) _exit(128 + number);
  g_interrupt.trigger(number);
}

}  // namespace

Interrupt& interrupt_by_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a read from the terminal returns, so that Ctrl-C works while a prompt is being
  // typed.
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  return g_interrupt;
}

}  // namespace shoal::client
