// SPDX-License-Identifier: Apache-2.0
// What the emulator tells the sanitizers, and nothing where there are none.
//
// The thread sanitizer is the race checker of kernels: each fiber is a thread to it, and only what
// a GPU promises orders memory. So nothing of the emulator's own may be seen: functions that run as
// a fiber are SHOAL_UNSEEN, which covers what they do themselves, and what they call of the library
// stands in a Quiet scope, which covers what is called too. Memory that is allocated or freed in
// one has no history. What a kernel asked for (a copy) is done outside of both.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SHOAL_EMULATOR_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define SHOAL_EMULATOR_TSAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SHOAL_EMULATOR_ASAN
#endif
#if defined(__SANITIZE_THREAD__)
#define SHOAL_EMULATOR_TSAN
#endif

#if defined(SHOAL_EMULATOR_ASAN)
#include <sanitizer/common_interface_defs.h>
// A function that is never returned from: no red zone of its frame may stay on the stack.
#define SHOAL_NEVER_LEFT __attribute__((no_sanitize("address")))
#else
#define SHOAL_NEVER_LEFT
#endif

#if defined(SHOAL_EMULATOR_TSAN)
extern "C" {
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void* __tsan_get_current_fiber(void);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#define SHOAL_UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define SHOAL_UNSEEN
#endif

namespace shoal::kernels::cuda::emulator {

#if defined(SHOAL_EMULATOR_TSAN)

class Quiet {
 public:
  SHOAL_UNSEEN Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  SHOAL_UNSEEN ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};
inline void order_acquire(void* order) { __tsan_acquire(order); }
inline void order_release(void* order) { __tsan_release(order); }

// A fiber as a thread that what was done before orders, and entering and leaving does not.
class CheckedThread {
 public:
  ~CheckedThread() { end(); }
  SHOAL_UNSEEN void begin() {
    end();
    fiber_ = __tsan_create_fiber(0);
  }
  SHOAL_UNSEEN void enter() {
    host_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber_, kOrderNothing);
  }
  SHOAL_UNSEEN void leave() { __tsan_switch_to_fiber(host_, kOrderNothing); }

 private:
  static constexpr unsigned kOrderNothing = 1;
  SHOAL_UNSEEN void end() {
    if (fiber_ != nullptr) __tsan_destroy_fiber(fiber_);
  }
  void* fiber_ = nullptr;
  void* host_ = nullptr;
};

#else

class Quiet {
 public:
  Quiet() {}   // NOLINT: not an unused variable
  ~Quiet() {}  // NOLINT
};
inline void order_acquire(void*) {}
inline void order_release(void*) {}

struct CheckedThread {
  void begin() {}
  void enter() {}
  void leave() {}
};

#endif

#if defined(SHOAL_EMULATOR_ASAN)

// Which stack runs, and where variables are whose use after return it looks for.
class CheckedStack {
 public:
  void begin() { fake_ = nullptr; }
  void enter(const void* stack, std::size_t bytes) {
    __sanitizer_start_switch_fiber(&host_fake_, stack, bytes);
  }
  void back() { __sanitizer_finish_switch_fiber(host_fake_, nullptr, nullptr); }
  SHOAL_NEVER_LEFT void entered() {
    __sanitizer_finish_switch_fiber(fake_, &host_stack_, &host_bytes_);
  }
  SHOAL_NEVER_LEFT void leave() {
    __sanitizer_start_switch_fiber(&fake_, host_stack_, host_bytes_);
  }
  SHOAL_NEVER_LEFT void end() { __sanitizer_start_switch_fiber(nullptr, host_stack_, host_bytes_); }

 private:
  void* fake_ = nullptr;
  void* host_fake_ = nullptr;
  const void* host_stack_ = nullptr;
  std::size_t host_bytes_ = 0;
};

#else

struct CheckedStack {
  void begin() {}
  void enter(const void*, std::size_t) {}
  void back() {}
  void entered() {}
  void leave() {}
  void end() {}
};

#endif

}  // namespace shoal::kernels::cuda::emulator
