// SPDX-License-Identifier: Apache-2.0
// Signals by which a user ends the program, as a token that every wait looks at.
#pragma once

#include "base/stop_token.h"

namespace shoal::client {

// SIGINT, SIGTERM and SIGHUP stop the returned token; a second one ends the process at once with
// 128 + signal.
base::StopToken& interrupt_by_signals();

// While it lives, the first SIGINT is told to whoever asks here, and the program goes on; the
// second since somebody asked ends it. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  bool interrupted() const;
  void forget();  // and from here on the next one is the first
};

}  // namespace shoal::client
