// SPDX-License-Identifier: Apache-2.0
// Runs kernels for GPUs on the host, a fiber for each thread, one CTA after the other, in an order
// drawn from a seed. It finds what a GPU would not tell: steps out of shared or global memory
// (under the address sanitizer: each piece of shared memory is an allocation of its own), missing
// barriers (poisoned memory, late copies, and the thread sanitizer, which sees each fiber as a
// thread), lanes of a warp that part. What breaks a rule ends the program with a line. A machine is
// one caller's at a time; several may run in several threads.
//
// Not faithful: speed, registers, bank conflicts, memory orders weaker than the thread sanitizer's,
// and CTAs that wait for each other (they would wait for ever).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/function_ref.h"

namespace shoal::kernels::cuda::emulator {

struct Options {
  std::uint64_t seed = 1;  // of the order of CTAs and threads
  // Asynchronous copies happen when they are waited for, else at once: a GPU does either.
  bool late_copies = true;
};

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};
struct Cta {
  Index3 index;
  unsigned threads = 0;
};
struct Lane {
  unsigned thread = 0;
};

class Machine {
 public:
  explicit Machine(const Options& options);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // Calls body() as each thread of each CTA. `threads`, of one CTA: a multiple of 32, at most 1024.
  void run(Index3 grid, unsigned threads, std::size_t shared_bytes, base::FunctionRef<void()> body);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

// For the fiber that runs: kernels/cuda/device.cuh.
const Cta& cta();
const Lane& self();
void barrier();
void warp_barrier();
std::uint32_t shuffle_xor(std::uint32_t value, int mask);
void* take_shared(std::size_t bytes);
void copy_async(void* to, const void* from, bool valid);
void commit_copies();
void wait_copies(int under_way);
void check_aligned(const void* p, std::size_t bytes);
void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]);

}  // namespace shoal::kernels::cuda::emulator
