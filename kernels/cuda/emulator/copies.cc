// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/copies.h"

#include <cstring>
#include <utility>

#include "kernels/cuda/emulator/sanitizer.h"

namespace shoal::kernels::cuda::emulator {
namespace {

// The kernel's own reading and writing, which the sanitizers shall see.
__attribute__((noinline)) void copy(void* to, const void* from, bool valid) {
  if (valid) {
    std::memcpy(to, from, kCopyBytes);
  } else {
    std::memset(to, 0, kCopyBytes);
  }
}

// A copy may read at once: what it reads is looked at where the kernel asks for it.
__attribute__((noinline)) void look_at(const void* from) {
  static_cast<void>(*static_cast<const volatile char*>(from));
  static_cast<void>(*(static_cast<const volatile char*>(from) + kCopyBytes - 1));
}

}  // namespace

SHOAL_UNSEEN void Copies::add(void* to, const void* from, bool valid) {
  if (valid) look_at(from);
  const Quiet quiet;
  waiting_.push_back({to, from, valid, open_group_});
}

SHOAL_UNSEEN void Copies::commit() { ++open_group_; }
SHOAL_UNSEEN void Copies::wait(int under_way) { finish(open_group_ - 1 - under_way); }
SHOAL_UNSEEN void Copies::finish_all() { finish(open_group_); }

SHOAL_UNSEEN void Copies::finish(int last_group) {
  for (;;) {
    Copy next{};
    {
      const Quiet quiet;
      if (waiting_.empty() || waiting_.front().group > last_group) return;
      next = waiting_.front();
      waiting_.erase(waiting_.begin());
    }
    copy(next.to, next.from, next.valid);
  }
}

}  // namespace shoal::kernels::cuda::emulator
