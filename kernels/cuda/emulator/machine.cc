// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/cuda/emulator/copies.h"
#include "kernels/cuda/emulator/fiber.h"
#include "kernels/cuda/emulator/sanitizer.h"
#include "kernels/cuda/emulator/shared_memory.h"

namespace shoal::kernels::cuda::emulator {

constexpr unsigned kMostThreads = 1024;
constexpr std::int64_t kMostInX = 0x7fffffff, kMostInYz = 65535;

struct Warp {
  std::uint32_t arrived = 0, ended = 0;  // lanes, a bit each
  unsigned phase = 0;                    // barriers so far
  Together together = Together::kBarrier;
  const void* in[kWarp] = {};
  void* out[kWarp] = {};
};

struct Thread {
  explicit Thread(unsigned number) : number(number), fiber(number) {}
  SHOAL_UNSEEN unsigned warp() const { return number / kWarp; }
  SHOAL_UNSEEN unsigned lane() const { return number % kWarp; }

  const unsigned number;
  Fiber fiber;
  Copies copies;
  std::size_t taken = 0;  // pieces of shared memory
};

// A CTA while it runs. Addresses within it name orders for the thread sanitizer, those of barriers
// by turns: who leaves one late must not see what others did on their way to the next. Each CTA has
// memory of its own for it, so that nothing orders two of them.
struct Cta {
  Cta(Index3 index, unsigned threads, std::size_t shared_bytes)
      : index(index), threads(threads), shared(shared_bytes) {}

  const Index3 index;
  const unsigned threads;
  unsigned at_barrier = 0, ended = 0;
  unsigned phase = 0;  // barriers so far
  SharedMemory shared;
  Warp warps[kMostThreads / kWarp];
  char barrier_order[2] = {};
  char warp_order[kMostThreads / kWarp][2] = {};
};

// On this thread of the host.
static thread_local Machine::Impl* running = nullptr;

class Machine::Impl {
 public:
  explicit Impl(const Options& options)
      : options_(options), state_(options.seed * 0x9E3779B97F4A7C15ull | 1u) {}

  SHOAL_UNSEEN void run(Index3 grid, int threads, std::size_t shared_bytes,
                        base::FunctionRef<void()> body) {
    running = this;
    if (threads <= 0 || threads % static_cast<int>(kWarp) != 0 ||
        threads > static_cast<int>(kMostThreads)) {
      fail("a CTA has a multiple of 32 threads, at most 1024");
    }
    if (std::min({grid.x, grid.y, grid.z}) < 0 || grid.x > kMostInX ||
        std::max(grid.y, grid.z) > kMostInYz) {
      fail("a grid has at most 2^31 - 1 CTAs in x, 65535 in y and in z");
    }
    if (shared_bytes > kMostShared) fail("a CTA has at most 99 KiB of shared memory");
    while (threads_.size() < static_cast<std::size_t>(threads)) {
      threads_.push_back(std::make_unique<Thread>(static_cast<unsigned>(threads_.size())));
    }
    body_ = &body;
    std::vector<std::int64_t> ctas(static_cast<std::size_t>(grid.x * grid.y * grid.z));
    std::iota(ctas.begin(), ctas.end(), std::int64_t{0});
    for (std::size_t left = ctas.size(); left > 0; --left) {
      std::swap(ctas[left - 1], ctas[draw(left)]);
      const std::int64_t i = ctas[left - 1];
      run_cta({i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y},
              static_cast<unsigned>(threads), shared_bytes);
    }
    order_acquire(&end_order_);
    running = nullptr;
  }

  // What follows is called by fibers.

  SHOAL_UNSEEN Cta& cta() { return *cta_; }
  SHOAL_UNSEEN Thread& thread() { return *thread_; }
  const Thread* thread_or_none() const { return thread_; }
  const Cta* cta_or_none() const { return cta_; }
  SHOAL_UNSEEN const Options& options() const { return options_; }

  SHOAL_UNSEEN void barrier() {
    char* const order = &cta_->barrier_order[cta_->phase % 2];
    order_release(order);
    if (++cta_->at_barrier == cta_->threads) {
      cta_->at_barrier = 0;
      ++cta_->phase;
      for (unsigned i = 0; i < cta_->threads; ++i) make_ready(i);
    }
    thread_->fiber.leave();
    order_acquire(order);
  }

  SHOAL_UNSEEN void warp_barrier() {
    const unsigned warp = thread_->warp();
    char* const order = &cta_->warp_order[warp][cta_->warps[warp].phase % 2];
    order_release(order);
    meet(Together::kBarrier, nullptr, nullptr, nullptr);
    order_acquire(order);
  }

  SHOAL_UNSEEN void meet(Together together, const void* in, void* out, Act act) {
    Warp& warp = cta_->warps[thread_->warp()];
    if (warp.ended != 0) fail("a lane has ended before the others of its warp meet");
    if (warp.arrived != 0 && warp.together != together) {
      fail("lanes of a warp meet in different operations");
    }
    warp.together = together;
    warp.in[thread_->lane()] = in;
    warp.out[thread_->lane()] = out;
    warp.arrived |= 1u << thread_->lane();
    if (warp.arrived == ~0u) {
      warp.arrived = 0;
      if (together == Together::kBarrier) {
        ++warp.phase;
      } else {
        const Quiet quiet;
        act(options_, warp.in, warp.out);
      }
      for (unsigned i = 0; i < kWarp; ++i) make_ready(thread_->warp() * kWarp + i);
    }
    thread_->fiber.leave();
  }

 private:
  std::uint64_t draw(std::uint64_t below) {  // xorshift64 (Marsaglia 2003)
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 32) * below >> 32;
  }

  SHOAL_UNSEEN void make_ready(unsigned number) {
    ready_[ready_count_++] = static_cast<std::uint16_t>(number);
  }

  SHOAL_UNSEEN void run_cta(Index3 index, unsigned threads, std::size_t shared_bytes) {
    begin_cta(index, threads, shared_bytes);
    while (ready_count_ > 0) {
      const std::size_t drawn = draw(ready_count_);
      const unsigned number = ready_[drawn];
      ready_[drawn] = ready_[--ready_count_];
      thread_ = threads_[number].get();
      thread_->fiber.enter();
    }
    if (cta_->ended != threads) {
      fail(cta_->at_barrier == 0 ? "lanes of a warp wait for others that never come"
                                 : "some threads of a CTA never reach the barrier");
    }
    thread_ = nullptr;
    const Quiet quiet;
    delete std::exchange(cta_, nullptr);
  }

  SHOAL_UNSEEN void begin_cta(Index3 index, unsigned threads, std::size_t shared_bytes) {
    {
      const Quiet quiet;
      cta_ = new Cta(index, threads, shared_bytes);
    }
    ready_count_ = 0;
    // The sanitizer gives numbers of ended threads to new ones, whose races with those it cannot
    // see: so a lane's number goes to another lane of the next CTA.
    const auto first = static_cast<unsigned>(draw(threads));
    for (unsigned i = 0; i < threads; ++i) {
      const unsigned number = (first + i) % threads;
      Thread& thread = *threads_[number];
      thread.taken = 0;
      thread.fiber.begin([] { running->run_thread(); });
      make_ready(number);
    }
  }

  // The whole of a fiber.
  SHOAL_UNSEEN SHOAL_NEVER_LEFT void run_thread() {
    thread_->fiber.entered();
    (*body_)();
    thread_->copies.finish_all();
    order_release(&end_order_);
    ++cta_->ended;
    cta_->warps[thread_->warp()].ended |= 1u << thread_->lane();
    thread_->fiber.end();
  }

  const Options options_;
  std::uint64_t state_;  // of the draws
  std::vector<std::unique_ptr<Thread>> threads_;
  const base::FunctionRef<void()>* body_ = nullptr;
  Cta* cta_ = nullptr;
  Thread* thread_ = nullptr;  // the one that runs
  std::uint16_t ready_[kMostThreads] = {};
  unsigned ready_count_ = 0;
  char end_order_ = 0;  // what the launch's threads did comes before what its caller does then
};

Machine::Machine(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
Machine::~Machine() = default;
void Machine::run(Index3 grid, int threads, std::size_t shared_bytes,
                  base::FunctionRef<void()> body) {
  impl_->run(grid, threads, shared_bytes, body);
}

SHOAL_UNSEEN Index3 cta() { return running->cta().index; }
SHOAL_UNSEEN int thread() { return static_cast<int>(running->thread().number); }
SHOAL_UNSEEN int threads() { return static_cast<int>(running->cta().threads); }

SHOAL_UNSEEN void barrier() { running->barrier(); }
SHOAL_UNSEEN void warp_barrier() { running->warp_barrier(); }
SHOAL_UNSEEN void meet(Together together, const void* in, void* out, Act act) {
  running->meet(together, in, out, act);
}

SHOAL_UNSEEN std::uint32_t shuffle_xor(std::uint32_t value, int mask) {
  struct In {
    std::uint32_t value;
    int mask;
  };
  if (mask <= 0 || mask >= static_cast<int>(kWarp)) fail("a shuffle with a mask beyond the warp");
  const In in{value, mask};
  std::uint32_t out = 0;
  meet(Together::kShuffle, &in, &out,
       [](const Options&, const void* const* ins, void* const* outs) {
         for (unsigned lane = 0; lane < kWarp; ++lane) {
           const auto with = static_cast<unsigned>(static_cast<const In*>(ins[lane])->mask);
           *static_cast<std::uint32_t*>(outs[lane]) =
               static_cast<const In*>(ins[lane ^ with])->value;
         }
       });
  return out;
}

SHOAL_UNSEEN void* take_shared(std::size_t bytes) {
  const Quiet quiet;
  return running->cta().shared.take(running->thread().taken++, bytes);
}

SHOAL_UNSEEN void copy_async(void* to, const void* from, bool valid) {
  check_aligned(to, kCopyBytes);
  if (valid) check_aligned(from, kCopyBytes);
  {
    const Quiet quiet;
    const SharedMemory& shared = running->cta().shared;
    if (!shared.holds(to, kCopyBytes)) fail("an asynchronous copy to outside of shared memory");
    if (valid && shared.holds(from, 1)) fail("an asynchronous copy from shared memory");
  }
  Copies& copies = running->thread().copies;
  copies.add(to, from, valid);
  if (!running->options().late_copies) copies.finish_all();
}
SHOAL_UNSEEN void commit_copies() { running->thread().copies.commit(); }
SHOAL_UNSEEN void wait_copies(int under_way) { running->thread().copies.wait(under_way); }

SHOAL_UNSEEN void check_aligned(const void* p, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0) fail("an address that is not aligned");
}

void fail(const char* what) {
  const Cta* const cta = running->cta_or_none();
  const Thread* const thread = running->thread_or_none();
  const Index3 at = cta == nullptr ? Index3{-1, -1, -1} : cta->index;
  std::fprintf(stderr, "emulated GPU: %s (CTA %lld %lld %lld, thread %d)\n", what,
               static_cast<long long>(at.x), static_cast<long long>(at.y),
               static_cast<long long>(at.z),
               thread == nullptr ? -1 : static_cast<int>(thread->number));
  std::abort();
}

}  // namespace shoal::kernels::cuda::emulator
