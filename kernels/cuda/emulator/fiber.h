// SPDX-License-Identifier: Apache-2.0
// A stack of its own that can be entered and left, known to the sanitizers: to the thread sanitizer
// each fiber is a thread, and entering one orders nothing.
#pragma once

#include <cstddef>

namespace shoal::kernels::cuda::emulator {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next enter() calls entry(), which must not return: it ends by leave(true).
  void begin(void (*entry)());
  // From the host's stack: runs the fiber until it leaves.
  void enter();
  // From within: back to the host's stack. `last`: the fiber will begin anew.
  void leave(bool last);
  // First thing that entry() does.
  void entered();

 private:
  static constexpr std::size_t kStackBytes = 256 << 10;

  char* stack_ = nullptr;
  void* here_ = nullptr;  // the fiber's stack pointer, while it does not run
  void* host_ = nullptr;  // the host's, while it does
  // Of the sanitizers.
  void* thread_ = nullptr;
  void* host_thread_ = nullptr;
  void* fake_stack_ = nullptr;
  void* host_fake_stack_ = nullptr;
  const void* host_stack_ = nullptr;
  std::size_t host_stack_bytes_ = 0;
};

}  // namespace shoal::kernels::cuda::emulator
