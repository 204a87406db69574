// SPDX-License-Identifier: Apache-2.0
// Signals by which a user ends the program, as a token that every wait looks at.
#pragma once

#include "base/stop_token.h"

namespace shoal::client {

// SIGINT, SIGTERM and SIGHUP stop the returned token; a second one ends the process at once with
// 128 + signal.
base::StopToken& interrupt_by_signals();

// While it lives, the first SIGINT is told to whoever asks here, and the program goes on; the
// second since forget() ends it. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  bool interrupted() const;
  // The same for what waits: stopped by the first SIGINT, by whatever else ends the program, and
  // no longer after forget(). Lives as long as the program.
  const base::StopToken& token() const;
  void forget();  // and from here on the next one is the first
};

}  // namespace shoal::client
