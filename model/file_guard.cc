// SPDX-License-Identifier: Apache-2.0
#include "model/file_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace shoal::model {
namespace {

struct Slot {
  std::atomic<bool> taken{false};
  std::atomic<bool> lost{false};
  std::atomic<const char*> path{nullptr};
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uintptr_t> end{0};  // set last: an entry counts from then on
};

// The largest published model has 191 files; a table that is too small only leaves files unnamed.
constexpr int kSlots = 1024;
Slot g_slots[kSlots];
std::atomic<int> g_used{0};  // slots below this have been taken once
const char* g_program = "";
LostFile g_policy = LostFile::kExit;
std::uintptr_t g_page = 4096;

// Everything below runs in a signal handler: system calls and atomics only.
void say(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody listens
}

// Several threads may read the file at once: one of them speaks.
[[noreturn]] void exit_because_of(const char* path) {
  static std::atomic_flag is_speaking;
  while (is_speaking.test_and_set()) pause();
  say(g_program);
  say(": ");
  say(path);
  say(" was truncated while it was in use, or cannot be read any more: put the whole file there, "
      "and start again\n");
  _exit(1);
}

void on_sigbus(int number, siginfo_t* info, void*) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
  const int used = g_used.load(std::memory_order_acquire);
  for (int i = 0; i < used; ++i) {
    Slot& slot = g_slots[i];
    const std::uintptr_t end = slot.end.load(std::memory_order_acquire);
    const std::uintptr_t begin = slot.begin.load(std::memory_order_relaxed);
    if (address < begin || address >= end) continue;
    const char* path = slot.path.load(std::memory_order_relaxed);
    if (g_policy == LostFile::kExit) exit_because_of(path);
    char* const page = static_cast<char*>(info->si_addr) - address % g_page;
    slot.lost.store(true, std::memory_order_release);
    void* const zeros = mmap(page, end - reinterpret_cast<std::uintptr_t>(page), PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (zeros == MAP_FAILED) exit_because_of(path);
    errno = saved_errno;
    return;
  }
  // Not a file of ours: what would have happened without us happens when the access is repeated.
  signal(number, SIG_DFL);
  errno = saved_errno;
}

}  // namespace

void guard_mapped_files(const char* program, LostFile policy) {
  g_program = program;
  g_policy = policy;
  g_page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, nullptr);
}

GuardedMapping::GuardedMapping(const std::byte* begin, std::size_t size, const char* path) {
  for (int i = 0; i < kSlots; ++i) {
    if (g_slots[i].taken.exchange(true, std::memory_order_acq_rel)) continue;
    Slot& slot = g_slots[i];
    slot.lost.store(false, std::memory_order_relaxed);
    slot.path.store(path, std::memory_order_relaxed);
    slot.begin.store(reinterpret_cast<std::uintptr_t>(begin), std::memory_order_relaxed);
    slot.end.store(reinterpret_cast<std::uintptr_t>(begin) + size, std::memory_order_release);
    int used = g_used.load();
    while (used <= i && !g_used.compare_exchange_weak(used, i + 1)) {
    }
    slot_ = i;
    return;
  }
}

GuardedMapping::~GuardedMapping() {
  if (slot_ < 0) return;
  Slot& slot = g_slots[slot_];
  slot.end.store(0, std::memory_order_release);
  slot.begin.store(0, std::memory_order_relaxed);
  slot.taken.store(false, std::memory_order_release);
}

bool GuardedMapping::is_lost() const {
  return slot_ >= 0 && g_slots[slot_].lost.load(std::memory_order_acquire);
}

}  // namespace shoal::model
