// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

#if defined(SHOAL_EMULATOR_ASSEMBLY)
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
  popq %rcx
  jmpq *%rcx
.size shoal_switch_stack, .-shoal_switch_stack
)");
#endif

namespace shoal::kernels::cuda::emulator {
namespace {

constexpr std::size_t kGuardBytes = 4096;  // below the stack: who goes too deep is stopped

#if defined(SHOAL_EMULATOR_ASSEMBLY)

SHOAL_UNSEEN void set_out(Place& place, char* stack, std::size_t bytes, void (*entry)()) {
  constexpr int kSavedRegisters = 6;
  auto** top = reinterpret_cast<void**>(stack + bytes);
  *--top = nullptr;  // the stack of a function that was called: 8 past a multiple of 16
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < kSavedRegisters; ++i) *--top = nullptr;
  place = top;
}
SHOAL_SWITCH void move(Place& from, Place& to) { shoal_switch_stack(&from, to); }

#else

SHOAL_UNSEEN void set_out(Place& place, char* stack, std::size_t bytes, void (*entry)()) {
  if (::getcontext(&place) != 0) std::abort();
  place.uc_stack.ss_sp = stack;
  place.uc_stack.ss_size = bytes;
  place.uc_link = nullptr;
  ::makecontext(&place, entry, 0);
}
SHOAL_SWITCH void move(Place& from, Place& to) {
  if (::swapcontext(&from, &to) != 0) std::abort();
}

#endif

char* map_stack(void* at, std::size_t bytes, int flags) {
  void* const memory = ::mmap(at, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(memory);
}

}  // namespace

Fiber::Fiber(unsigned number)
    : stack_(map_stack(nullptr, kGuardBytes + kStackBytes, 0) + kGuardBytes),
      used_(kStackBytes - number % 16 * 256) {
  if (::mprotect(stack_ - kGuardBytes, kGuardBytes, PROT_NONE) != 0) throw std::bad_alloc();
}

Fiber::~Fiber() { ::munmap(stack_ - kGuardBytes, kGuardBytes + kStackBytes); }

SHOAL_UNSEEN void Fiber::begin(void (*entry)()) {
  renew_stack();
  set_out(here_, stack_, used_, entry);
  checked_stack_.begin();
  checked_thread_.begin();
}

// What the thread before did on this stack is no race with what the next one does.
SHOAL_UNSEEN void Fiber::renew_stack() {
#if defined(SHOAL_EMULATOR_TSAN)
  const Quiet quiet;
  map_stack(stack_, kStackBytes, MAP_FIXED);
#endif
}

SHOAL_UNSEEN void Fiber::enter() {
  checked_stack_.enter(stack_, kStackBytes);
  checked_thread_.enter();
  move(host_, here_);
  checked_stack_.back();
}

SHOAL_UNSEEN SHOAL_NEVER_LEFT void Fiber::entered() { checked_stack_.entered(); }

SHOAL_UNSEEN void Fiber::leave() {
  checked_stack_.leave();
  checked_thread_.leave();
  move(here_, host_);
  checked_stack_.entered();
}

SHOAL_UNSEEN SHOAL_NEVER_LEFT void Fiber::end() {
  checked_stack_.end();
  checked_thread_.leave();
  move(here_, host_);
  std::abort();  // nobody enters what has ended
}

}  // namespace shoal::kernels::cuda::emulator
