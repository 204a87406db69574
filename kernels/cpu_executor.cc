// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_executor.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sched.h>
#endif

#include "base/check.h"
#include "kernels/operators_cpu.h"

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
  return std::make_unique<CpuExecutor>(threads);
}

F32Rows f32_rows(const MatrixView& view) {
  CHECK(view.device == Device::kCpu && view.dtype == DType::kF32)
      << dtype_name(view.dtype) << " on " << device_name(view.device);
  return {static_cast<float*>(view.data), view.rows, view.cols, view.stride};
}
ConstF32Rows f32_rows(const ConstMatrixView& view) {
  CHECK(view.device == Device::kCpu && view.dtype == DType::kF32)
      << dtype_name(view.dtype) << " on " << device_name(view.device);
  return {static_cast<const float*>(view.data), view.rows, view.cols, view.stride};
}

CpuExecutor::CpuExecutor(int threads, const CpuKernels& kernels) : kernels_(kernels) {
  CHECK(threads >= 0 && threads <= kMaxThreads) << "threads " << threads;
  const int total = threads == 0 ? std::min(available_cores(), kMaxThreads) : threads;
  std::optional<Buffer> scratch =
      allocate(static_cast<std::size_t>(total * kThreadScratchFloats) * sizeof(float));
  std::optional<Buffer> quantized = allocate(static_cast<std::size_t>(kQuantizedBytes));
  if (!scratch || !quantized) throw std::bad_alloc();
  scratch_ = *std::move(scratch);
  quantized_ = *std::move(quantized);
  try {
    for (int i = 1; i < total; ++i) workers_.emplace_back([this, i] { serve(i); });
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

QuantizedRows CpuExecutor::quantized_rows(std::int64_t rows, std::int64_t k) const {
  CHECK(rows * quantized_row_bytes(k) <= kQuantizedBytes) << rows << " rows of " << k;
  return {static_cast<QuantizedGroup*>(quantized_.data()), groups_of(k), quantized_row_bytes(k)};
}

const Operators& CpuExecutor::operators() const {
  static constexpr Operators kTable = {.linear = &cpu::linear,
                                       .project = &cpu::project,
                                       .gate_up = &cpu::gate_up,
                                       .pack_linear = &cpu::pack_linear,
                                       .pack_quantized = &cpu::pack_quantized,
                                       .rms_norm = &cpu::rms_norm,
                                       .rotate_append = &cpu::rotate_append,
                                       .attention = &cpu::attention,
                                       .silu_mul = &cpu::silu_mul,
                                       .embedding = &cpu::embedding,
                                       .finite_rows = &cpu::finite_rows};
  return kTable;
}

std::optional<Buffer> CpuExecutor::allocate(std::size_t bytes) {
  // Committed by the kernel when a page is first written.
  void* const memory = ::mmap(nullptr, std::max<std::size_t>(bytes, 1), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return std::nullopt;
  return Buffer(memory, bytes, Device::kCpu, [](void* data, std::size_t size) {
    ::munmap(data, std::max<std::size_t>(size, 1));
  });
}

void CpuExecutor::prefer_large_pages(const Buffer& buffer) {
#if defined(MADV_HUGEPAGE)
  // Where the system has none, small ones do.
  if (buffer.bytes() > 0) ::madvise(buffer.data(), buffer.bytes(), MADV_HUGEPAGE);
#endif
}

void CpuExecutor::discard(void* begin, void* end) {
  // Only whole pages of the system's: their neighbours may be in use.
  const auto unit = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto past_page = [unit](void* p) { return reinterpret_cast<std::uintptr_t>(p) % unit; };
  char* const first = static_cast<char*>(begin) + (unit - past_page(begin)) % unit;
  char* const last = static_cast<char*>(end) - past_page(end);
  if (first < last) ::madvise(first, static_cast<std::size_t>(last - first), MADV_DONTNEED);
}

void CpuExecutor::upload(void* device, const void* host, std::size_t bytes) {
  copy(device, host, bytes);
}
void CpuExecutor::download(void* host, const void* device, std::size_t bytes) {
  copy(host, device, bytes);
}
void CpuExecutor::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void CpuExecutor::run(std::int64_t count, std::int64_t grain, Part part) {
  CHECK(grain > 0) << "grain " << grain;
  if (count <= 0) return;
  const std::int64_t units = (count + grain - 1) / grain;
  const std::int64_t wanted = std::min<std::int64_t>(units, threads() * kPartsPerThread);
  const std::int64_t length = (units + wanted - 1) / wanted * grain;
  const std::int64_t parts = (count + length - 1) / length;
  if (workers_.empty() || parts == 1) {
    part(0, count, scratch_of(0));
    return;
  }
  work_.store(&part, std::memory_order_relaxed);
  count_.store(count, std::memory_order_relaxed);
  part_length_.store(length, std::memory_order_relaxed);
  done_.store(0, std::memory_order_relaxed);
  const std::uint32_t job = job_of(ticket_.load(std::memory_order_relaxed)) + 1;
  const std::uint64_t ticket = make_ticket(job, static_cast<std::uint64_t>(parts));
  ticket_.store(ticket, std::memory_order_release);
  job_.fetch_add(1, std::memory_order_release);
  job_.notify_all();  // enters the kernel only if somebody sleeps

  work_on(ticket, 0);
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

void CpuExecutor::work_on(std::uint64_t ticket, int thread) {
  const std::uint32_t job = job_of(ticket);
  const std::uint32_t parts = parts_of(ticket);
  while (job_of(ticket) == job && part_of(ticket) < parts) {
    const Part* work = work_.load(std::memory_order_relaxed);
    const std::int64_t count = count_.load(std::memory_order_relaxed);
    const std::int64_t length = part_length_.load(std::memory_order_relaxed);
    // Drawing an unfinished part proves that its job is not over, hence that the three values above
    // are the job's.
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                       std::memory_order_acquire)) {
      continue;  // another thread drew it; `ticket` is fresh
    }
    const std::int64_t begin = part_of(ticket) * length;
    (*work)(begin, std::min(count, begin + length), scratch_of(thread));
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == parts) done_.notify_one();
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

void CpuExecutor::serve(int thread) {
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
    work_on(ticket_.load(std::memory_order_acquire), thread);
  }
}

}  // namespace shoal::kernels
