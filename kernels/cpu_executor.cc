// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_executor.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#if defined(__linux__)
#include <sched.h>
#endif

#include "base/check.h"

namespace shoal::kernels {
namespace {

// A worker spins this often before it sleeps: about 10 us, longer than the gap between two
// operators of a step, short enough that several nodes on one machine do not starve each other.
constexpr int kSpins = 200;
// Parts per thread: a thread that is late or was put aside leaves the rest to the others.
constexpr std::int64_t kPartsPerThread = 4;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int available_cores() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

constexpr std::uint64_t make_ticket(std::uint32_t job, std::uint64_t parts) {
  return std::uint64_t{job} << 32 | parts << 16;
}
constexpr std::uint32_t job_of(std::uint64_t ticket) {
  return static_cast<std::uint32_t>(ticket >> 32);
}
constexpr std::uint32_t parts_of(std::uint64_t ticket) { return ticket >> 16 & 0xffff; }
constexpr std::uint32_t part_of(std::uint64_t ticket) { return ticket & 0xffff; }
// Parts of a job must fit 16 bits.
constexpr int kMaxThreads = 4096;

}  // namespace

std::unique_ptr<Executor> Executor::cpu(int threads) {
  return std::make_unique<CpuExecutor>(threads, isa_chosen());
}

CpuExecutor& as_cpu(Executor& executor) {
  auto* cpu = dynamic_cast<CpuExecutor*>(&executor);
  CHECK(cpu != nullptr) << "a CPU operator was given the executor of another device";
  return *cpu;
}

CpuExecutor::CpuExecutor(int threads, IsaLevel level) : kernels_(cpu_kernels(level)) {
  CHECK(threads >= 0 && threads <= kMaxThreads) << "threads " << threads;
  const int total = threads == 0 ? std::min(available_cores(), kMaxThreads) : threads;
  try {
    for (int i = 1; i < total; ++i) workers_.emplace_back([this] { serve(); });
  } catch (...) {  // the system has no more threads: those that run must end before we may fail
    stop();
    throw;
  }
}

CpuExecutor::~CpuExecutor() { stop(); }

void CpuExecutor::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void CpuExecutor::parallel_for(std::int64_t count, std::int64_t grain,
                               const std::function<void(std::int64_t, std::int64_t)>& work) {
  CHECK(grain > 0) << "grain " << grain;
  if (count <= 0) return;
  const std::int64_t units = (count + grain - 1) / grain;
  const std::int64_t wanted = std::min<std::int64_t>(units, threads() * kPartsPerThread);
  const std::int64_t length = (units + wanted - 1) / wanted * grain;
  const std::int64_t parts = (count + length - 1) / length;
  if (workers_.empty() || parts == 1) {
    work(0, count);
    return;
  }
  work_.store(&work, std::memory_order_relaxed);
  count_.store(count, std::memory_order_relaxed);
  part_length_.store(length, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const std::uint32_t job = job_of(ticket_.load(std::memory_order_relaxed)) + 1;
  const std::uint64_t ticket = make_ticket(job, static_cast<std::uint64_t>(parts));
  ticket_.store(ticket, std::memory_order_release);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();  // enters the kernel only if somebody sleeps

  work_on(ticket);
  const auto all = static_cast<std::uint32_t>(parts);
  for (int spin = 0; spin < 10 * kSpins; ++spin) {
    if (done_.load(std::memory_order_acquire) == all) return;
    pause();
  }
  std::uint32_t done;
  while ((done = done_.load(std::memory_order_acquire)) != all) {
    done_.wait(done, std::memory_order_acquire);
  }
}

void CpuExecutor::work_on(std::uint64_t ticket) {
  const std::uint32_t job = job_of(ticket);
  const std::uint32_t parts = parts_of(ticket);
  while (job_of(ticket) == job && part_of(ticket) < parts) {
    const auto* work = work_.load(std::memory_order_relaxed);
    const std::int64_t count = count_.load(std::memory_order_relaxed);
    const std::int64_t length = part_length_.load(std::memory_order_relaxed);
    // Drawing an unfinished part proves that its job is not over, hence that the three values above
    // are the job's.
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      continue;  // another thread drew it; `ticket` is fresh
    }
    const std::int64_t begin = part_of(ticket) * length;
    (*work)(begin, std::min(count, begin + length));
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == parts) done_.notify_one();
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void CpuExecutor::serve() {
  std::uint32_t seen =
      0;  // jobs before the first wait may be missed: the caller does the parts itself
  while (true) {
    std::uint32_t job = job_.load(std::memory_order_acquire);
    for (int spin = 0; spin < kSpins && job == seen; ++spin) {
      pause();
      job = job_.load(std::memory_order_acquire);
    }
    if (job == seen) {
      job_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = job;
    if (stopping_.load(std::memory_order_relaxed)) return;
    work_on(ticket_.load(std::memory_order_acquire));
  }
}

float* thread_scratch(std::int64_t floats) {
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  thread_local std::unique_ptr<float, Free> memory;
  thread_local std::int64_t size = 0;
  if (floats > size) {
    size = (floats + 15) / 16 * 16;
    memory.reset(static_cast<float*>(
        std::aligned_alloc(64, static_cast<std::size_t>(size) * sizeof(float))));
    if (memory == nullptr) {
      size = 0;
      throw std::bad_alloc();
    }
  }
  return memory.get();
}

}  // namespace shoal::kernels
