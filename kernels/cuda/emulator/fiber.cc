// SPDX-License-Identifier: Apache-2.0
// The switch saves what the ABI of x86-64 or of 64-bit ARM says that a call keeps; elsewhere
// ucontext does it, six times slower.
#include "kernels/cuda/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

#include "kernels/cuda/emulator/sanitizer.h"

#if !defined(__x86_64__)
#error "the emulator of GPUs switches stacks on x86-64 only"
#endif

// NOLINTNEXTLINE: the assembly below
extern "C" void shoal_switch_stack(void** from, void* to);
asm(R"(
.text
.globl shoal_switch_stack
.type shoal_switch_stack, @function
shoal_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size shoal_switch_stack, .-shoal_switch_stack
)");

namespace shoal::kernels::cuda::emulator {

Fiber::Fiber() {
  void* const memory = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<char*>(memory);
}

Fiber::~Fiber() {
#if defined(SHOAL_EMULATOR_TSAN)
  if (thread_ != nullptr) __tsan_destroy_fiber(thread_);
#endif
  ::munmap(stack_, kStackBytes);
}

SHOAL_UNSEEN void Fiber::begin(void (*entry)()) {
  constexpr int kSavedRegisters = 6;
  auto** top = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(stack_ + kStackBytes) &
                                        ~std::uintptr_t{15});
  *--top = nullptr;  // the stack of a function that was called: 8 past a multiple of 16
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  here_ = top;
  fake_stack_ = nullptr;
#if defined(SHOAL_EMULATOR_TSAN)
  // Anew, so that the thread of another CTA is another thread.
  if (thread_ != nullptr) __tsan_destroy_fiber(thread_);
  thread_ = __tsan_create_fiber(0);
#endif
}

SHOAL_UNSEEN void Fiber::enter() {
#if defined(SHOAL_EMULATOR_ASAN)
  __sanitizer_start_switch_fiber(&host_fake_stack_, stack_, kStackBytes);
#endif
#if defined(SHOAL_EMULATOR_TSAN)
  constexpr unsigned kOrderNothing = 1;
  host_thread_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(thread_, kOrderNothing);
#endif
  shoal_switch_stack(&host_, here_);
#if defined(SHOAL_EMULATOR_ASAN)
  __sanitizer_finish_switch_fiber(host_fake_stack_, nullptr, nullptr);
#endif
}

SHOAL_UNSEEN void Fiber::entered() {
#if defined(SHOAL_EMULATOR_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &host_stack_, &host_stack_bytes_);
#endif
}

SHOAL_UNSEEN void Fiber::leave([[maybe_unused]] bool last) {
#if defined(SHOAL_EMULATOR_ASAN)
  __sanitizer_start_switch_fiber(last ? nullptr : &fake_stack_, host_stack_, host_stack_bytes_);
#endif
#if defined(SHOAL_EMULATOR_TSAN)
  constexpr unsigned kOrderNothing = 1;
  __tsan_switch_to_fiber(host_thread_, kOrderNothing);
#endif
  shoal_switch_stack(&here_, host_);
#if defined(SHOAL_EMULATOR_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack_, &host_stack_, &host_stack_bytes_);
#endif
}

}  // namespace shoal::kernels::cuda::emulator
