// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "kernels/cuda/emulator/fiber.h"
#include "kernels/cuda/emulator/sanitizer.h"

namespace shoal::kernels::cuda::emulator {

constexpr unsigned kWarp = 32;
constexpr std::size_t kCopyBytes = 16;

enum class State : std::uint8_t { kReady, kAtBarrier, kInWarp, kDone };
// What lanes of a warp do together.
enum class Together : std::uint8_t { kBarrier, kShuffle, kMma };

struct Copy {
  void* to;
  const void* from;
  bool valid;
  int group;
};

struct Warp;

struct Thread : Lane {
  Fiber fiber;
  Warp* warp = nullptr;
  State state = State::kReady;
  std::vector<Copy> copies;
  int open_group = 0;
  std::size_t taken = 0;  // pieces of shared memory
};

using Act = void (*)(const void* const* in, void* const* out);

struct Warp {
  unsigned arrived = 0;  // lanes, a bit each
  unsigned done = 0;
  Together together = Together::kBarrier;
  const void* in[kWarp] = {};
  void* out[kWarp] = {};
  Thread* lanes[kWarp] = {};
};

struct Piece {
  void* data;
  std::size_t bytes;
};

// What runs now on this thread of the host.
struct Running {
  Cta cta;
  Thread* thread = nullptr;
  Options options;
  std::size_t shared_bytes = 0, shared_used = 0;
  std::vector<Piece> shared;
  const base::FunctionRef<void()>* body = nullptr;
  // Addresses that name an order for the thread sanitizer.
  char at_launch = 0, at_barrier = 0, at_end = 0, at_take = 0;
};

namespace {

thread_local Running* running = nullptr;

[[noreturn]] void fail(const char* what) {
  const Index3& at = running->cta.index;
  std::fprintf(stderr, "emulated GPU: %s (CTA %u %u %u, thread %d)\n", what, at.x, at.y, at.z,
               running->thread == nullptr ? -1 : static_cast<int>(running->thread->thread));
  std::abort();
}

SHOAL_UNSEEN void finish_copies(Thread& thread, int last_group) {
  std::size_t done = 0;
  for (; done < thread.copies.size() && thread.copies[done].group <= last_group; ++done) {
    const Copy copy = thread.copies[done];
    if (copy.valid) {
      std::memcpy(copy.to, copy.from, kCopyBytes);
    } else {
      std::memset(copy.to, 0, kCopyBytes);
    }
  }
  const Quiet quiet;
  thread.copies.erase(thread.copies.begin(),
                      thread.copies.begin() + static_cast<std::ptrdiff_t>(done));
}

SHOAL_UNSEEN void enter_kernel() {
  running->thread->fiber.entered();
  order_acquire(&running->at_launch);
  (*running->body)();
  Thread& thread = *running->thread;
  finish_copies(thread, thread.open_group);
  order_release(&running->at_end);
  thread.state = State::kDone;
  thread.warp->done |= 1u << thread.thread % kWarp;
  thread.fiber.leave(true);
  std::abort();
}

// All lanes of the warp come here; the last of them acts for all.
SHOAL_UNSEEN void meet(Together together, const void* in, void* out, Act act) {
  Thread& thread = *running->thread;
  Warp& warp = *thread.warp;
  if (warp.done != 0) fail("a lane has ended before the others of its warp meet");
  if (warp.arrived != 0 && warp.together != together) {
    fail("lanes of a warp meet in different operations");
  }
  const unsigned lane = thread.thread % kWarp;
  warp.together = together;
  warp.in[lane] = in;
  warp.out[lane] = out;
  warp.arrived |= 1u << lane;
  if (warp.arrived != ~0u) {
    thread.state = State::kInWarp;
    thread.fiber.leave(false);
    return;
  }
  {
    const Quiet quiet;
    act(warp.in, warp.out);
  }
  warp.arrived = 0;
  for (Thread* other : warp.lanes) {
    if (other != &thread) other->state = State::kReady;
  }
}

}  // namespace

class Machine::Impl {
 public:
  explicit Impl(const Options& options) : options_(options) {}

  SHOAL_UNSEEN void run(Index3 grid, unsigned threads, std::size_t shared_bytes,
                        base::FunctionRef<void()> body) {
    Running run;
    run.options = options_;
    run.cta.threads = threads;
    run.shared_bytes = shared_bytes;
    run.body = &body;
    Running* const before = std::exchange(running, &run);
    if (threads == 0 || threads % kWarp != 0 || threads > 1024) {
      fail("a CTA has a multiple of 32 threads, at most 1024");
    }
    if (grid.y > 65535 || grid.z > 65535) fail("a grid has at most 65535 CTAs in y and in z");
    prepare(threads);
    order_release(&run.at_launch);
    std::vector<unsigned> ctas(std::size_t{grid.x} * grid.y * grid.z);
    std::iota(ctas.begin(), ctas.end(), 0u);
    shuffle(ctas);
    for (const unsigned cta : ctas) {
      run.cta.index = {cta % grid.x, cta / grid.x % grid.y, cta / grid.x / grid.y};
      run_cta(run);
    }
    order_acquire(&run.at_end);
    running = before;
  }

 private:
  void prepare(unsigned threads) {
    while (threads_.size() < threads) threads_.push_back(std::make_unique<Thread>());
    warps_.assign(threads / kWarp, {});
    order_.resize(threads);
    std::iota(order_.begin(), order_.end(), 0u);
    for (unsigned i = 0; i < threads; ++i) {
      threads_[i]->thread = i;
      threads_[i]->warp = &warps_[i / kWarp];
      warps_[i / kWarp].lanes[i % kWarp] = threads_[i].get();
    }
    state_ = options_.seed * 0x9E3779B97F4A7C15ull + 1;
  }

  std::uint64_t draw() {  // xorshift64 (Marsaglia 2003)
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ >> 11;
  }
  void shuffle(std::vector<unsigned>& order) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[draw() % i]);
  }

  SHOAL_UNSEEN void run_cta(Running& run) {
    for (Warp& warp : warps_) warp.arrived = warp.done = 0;
    for (const unsigned i : order_) {
      Thread& thread = *threads_[i];
      thread.state = State::kReady;
      thread.copies.clear();
      thread.open_group = 0;
      thread.taken = 0;
      thread.fiber.begin(&enter_kernel);
    }
    run.shared_used = 0;
    while (turn(run)) {
    }
    order_acquire(&run.at_end);
    for (const Piece& piece : run.shared) std::free(piece.data);
    run.shared.clear();
  }

  // Each thread until it waits; false when all have ended.
  SHOAL_UNSEEN bool turn(Running& run) {
    shuffle(order_);
    bool ran = false;
    std::size_t done = 0, at_barrier = 0;
    for (const unsigned i : order_) {
      Thread& thread = *threads_[i];
      if (thread.state == State::kReady) {
        ran = true;
        run.thread = &thread;
        thread.fiber.enter();
        run.thread = nullptr;
      }
      done += thread.state == State::kDone ? 1 : 0;
      at_barrier += thread.state == State::kAtBarrier ? 1 : 0;
    }
    if (done == order_.size()) return false;
    if (ran) return true;
    if (at_barrier != order_.size()) {
      fail(at_barrier == 0 ? "lanes of a warp wait for others that never come"
                           : "some threads of a CTA never reach the barrier");
    }
    for (const unsigned i : order_) threads_[i]->state = State::kReady;
    return true;
  }

  const Options options_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Warp> warps_;
  std::vector<unsigned> order_;
  std::uint64_t state_ = 1;
};

Machine::Machine(const Options& options) : impl_(std::make_unique<Impl>(options)) {}
Machine::~Machine() = default;
void Machine::run(Index3 grid, unsigned threads, std::size_t shared_bytes,
                  base::FunctionRef<void()> body) {
  impl_->run(grid, threads, shared_bytes, body);
}

SHOAL_UNSEEN const Cta& cta() { return running->cta; }
SHOAL_UNSEEN const Lane& self() { return *running->thread; }

SHOAL_UNSEEN void barrier() {
  order_release(&running->at_barrier);
  running->thread->state = State::kAtBarrier;
  running->thread->fiber.leave(false);
  order_acquire(&running->at_barrier);
}

SHOAL_UNSEEN void warp_barrier() {
  Warp* const warp = running->thread->warp;
  order_release(warp);
  meet(Together::kBarrier, nullptr, nullptr, [](const void* const*, void* const*) {});
  order_acquire(warp);
}

SHOAL_UNSEEN std::uint32_t shuffle_xor(std::uint32_t value, int mask) {
  struct In {
    std::uint32_t value;
    int mask;
  };
  if (mask <= 0 || mask >= static_cast<int>(kWarp)) fail("a shuffle with a mask beyond the warp");
  const In in{value, mask};
  std::uint32_t out = 0;
  meet(Together::kShuffle, &in, &out, [](const void* const* ins, void* const* outs) {
    for (unsigned lane = 0; lane < kWarp; ++lane) {
      const auto with = static_cast<unsigned>(static_cast<const In*>(ins[lane])->mask);
      *static_cast<std::uint32_t*>(outs[lane]) = static_cast<const In*>(ins[lane ^ with])->value;
    }
  });
  return out;
}

SHOAL_UNSEEN void* take_shared(std::size_t bytes) {
  Running& run = *running;
  const Quiet quiet;
  const std::size_t piece = run.thread->taken++;
  if (piece == run.shared.size()) {
    run.shared_used = (run.shared_used + bytes + 15) / 16 * 16;
    if (run.shared_used > run.shared_bytes) fail("more shared memory than the launch asked for");
    void* data = nullptr;
    if (::posix_memalign(&data, 128, std::max<std::size_t>(bytes, 1)) != 0) std::abort();
    std::memset(data, 0xff, bytes);  // NaN
    run.shared.push_back({data, bytes});
    order_release(&run.at_take);
  } else if (run.shared[piece].bytes != bytes) {
    fail("threads of a CTA take shared memory differently");
  }
  order_acquire(&run.at_take);
  return run.shared[piece].data;
}

SHOAL_UNSEEN void copy_async(void* to, const void* from, bool valid) {
  check_aligned(to, kCopyBytes);
  if (valid) check_aligned(from, kCopyBytes);
  Thread& thread = *running->thread;
  {
    const Quiet quiet;
    thread.copies.push_back({to, from, valid, thread.open_group});
  }
  if (!running->options.late_copies) finish_copies(thread, thread.open_group);
}
SHOAL_UNSEEN void commit_copies() { ++running->thread->open_group; }
SHOAL_UNSEEN void wait_copies(int under_way) {
  finish_copies(*running->thread, running->thread->open_group - 1 - under_way);
}

SHOAL_UNSEEN void check_aligned(const void* p, std::size_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0) fail("an address that is not aligned");
}

// Fragments: PTX ISA, "Matrix fragments for mma.m16n8k32".
SHOAL_UNSEEN void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                         const std::uint32_t (&b)[2]) {
  struct In {
    const std::uint32_t* a;
    const std::uint32_t* b;
  };
  const In in{a, b};
  meet(Together::kMma, &in, &d, [](const void* const* ins, void* const* outs) {
    std::int32_t left[16][32], right[8][32];
    for (int lane = 0; lane < 32; ++lane) {
      const In& from = *static_cast<const In*>(ins[lane]);
      for (int i = 0; i < 16; ++i) {
        const auto byte = static_cast<std::int8_t>(from.a[i / 4] >> 8 * (i % 4));
        left[lane / 4 + i / 4 % 2 * 8][lane % 4 * 4 + i % 4 + i / 8 * 16] = byte;
      }
      for (int i = 0; i < 8; ++i) {
        const auto byte = static_cast<std::int8_t>(from.b[i / 4] >> 8 * (i % 4));
        right[lane / 4][lane % 4 * 4 + i % 4 + i / 4 * 16] = byte;
      }
    }
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < 4; ++i) {
        const std::int32_t* const row = left[lane / 4 + i / 2 * 8];
        const std::int32_t* const column = right[lane % 4 * 2 + i % 2];
        std::int32_t sum = 0;
        for (int k = 0; k < 32; ++k) sum += row[k] * column[k];
        static_cast<std::int32_t*>(outs[lane])[i] += sum;
      }
    }
  });
}

}  // namespace shoal::kernels::cuda::emulator
