// SPDX-License-Identifier: Apache-2.0
// What the emulator tells the sanitizers, and nothing where there are none. For the thread
// sanitizer only barriers order memory: the emulator's own bookkeeping is done in a Quiet scope, in
// functions that it does not instrument.
#pragma once

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
  Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};
inline void order_acquire(void* order) { __tsan_acquire(order); }
inline void order_release(void* order) { __tsan_release(order); }
#else
class Quiet {
 public:
  Quiet() {}   // NOLINT: not an unused variable
  ~Quiet() {}  // NOLINT
};
inline void order_acquire(void*) {}
inline void order_release(void*) {}
#endif

}  // namespace shoal::kernels::cuda::emulator
