// SPDX-License-Identifier: Apache-2.0
// A stack of its own that can be entered and left. The switch is a few instructions on x86-64;
// other machines have ucontext, several times slower. The sanitizers are told of each switch; to
// the thread sanitizer a fiber that begins anew is another thread, and its stack new memory.
#pragma once

#include <cstddef>

#include "kernels/cuda/emulator/sanitizer.h"

#if defined(__x86_64__) && !defined(SHOAL_EMULATOR_UCONTEXT)
#define SHOAL_EMULATOR_ASSEMBLY
#else
#include <ucontext.h>
#endif

namespace shoal::kernels::cuda::emulator {

#if defined(SHOAL_EMULATOR_ASSEMBLY)
using Place = void*;  // the stack pointer, below the registers that a call keeps
#else
using Place = ucontext_t;
#endif

class Fiber {
 public:
  // Fibers of different numbers have their frames in different lines of a cache.
  explicit Fiber(unsigned number);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next enter() calls entry(), which says entered() first, and end() last.
  void begin(void (*entry)());
  // From the host's stack: runs the fiber until it leaves or ends.
  void enter();
  void entered();
  // Back to the host's stack, until somebody enters again.
  void leave();
  [[noreturn]] void end();

 private:
  static constexpr std::size_t kStackBytes = 256 << 10;

  void renew_stack();

  char* stack_ = nullptr;
  const std::size_t used_;  // of kStackBytes, a multiple of 16
  Place here_ = {};         // of the fiber, while it does not run
  Place host_ = {};         // of the host, while it does
  [[no_unique_address]] CheckedThread checked_thread_;
  [[no_unique_address]] CheckedStack checked_stack_;
};

}  // namespace shoal::kernels::cuda::emulator
