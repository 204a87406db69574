// SPDX-License-Identifier: Apache-2.0
// Runs kernels for GPUs on the host, a fiber for each thread, one CTA after the other, in an order
// drawn from a seed. It finds what a GPU would not tell: steps out of shared or global memory
// (under the address sanitizer: each piece of shared memory is an allocation of its own), missing
// barriers (poisoned memory, late copies, and the thread sanitizer, which sees each fiber as a
// thread), lanes of a warp that part. What breaks a rule ends the program with a line. A machine is
// one caller's at a time; several may run in several threads. docs/cuda.md says what it cannot
// find.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace shoal::kernels::cuda::emulator {

// How mma_bf16 rounds: mma.h.
enum class MmaRule : std::uint8_t { kOrdered, kAmpere, kHopper };

struct Options {
  std::uint64_t seed = 1;  // of the order of CTAs and threads
  // Asynchronous copies happen when they are waited for, else at once: a GPU does either.
  bool late_copies = true;
  MmaRule mma_rule = MmaRule::kOrdered;
};

struct Index3 {
  std::int64_t x = 0, y = 0, z = 0;
};

// What the smallest of the GPUs that we build for gives a CTA.
inline constexpr std::size_t kMostShared = 99 << 10;
inline constexpr unsigned kWarp = 32;

class Machine {
 public:
  explicit Machine(const Options& options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Calls body() as each thread of each CTA. `threads`, of one CTA: a multiple of 32, at most 1024.
  // Orders differ from one run to the next.
  void run(Index3 grid, int threads, std::size_t shared_bytes, base::FunctionRef<void()> body);

  class Impl;

 private:
  const std::unique_ptr<Impl> impl_;
};

// For the fiber that runs: kernels/cuda/device.cuh.
Index3 cta();
int thread();   // of the CTA
int threads();  // likewise
void barrier();
void warp_barrier();
std::uint32_t shuffle_xor(std::uint32_t value, int mask);
void* take_shared(std::size_t bytes);
void copy_async(void* to, const void* from, bool valid);
void commit_copies();
void wait_copies(int under_way);
void check_aligned(const void* p, std::size_t bytes);

// What lanes of a warp do together, and how: the last that comes calls act() with what each lane
// gave, by lane. It orders no memory but for kBarrier.
enum class Together : std::uint8_t {
  kBarrier,
  kShuffle,
  kMmaS8,
  kMmaBf16,
  kMmaF16,
  kLoadMatrices,
  kLoadTransposed
};
using Act = void (*)(const Options& options, const void* const* in, void* const* out);
void meet(Together together, const void* in, void* out, Act act);

// Ends the program with a line that names CTA and thread.
[[noreturn]] void fail(const char* what);

}  // namespace shoal::kernels::cuda::emulator
