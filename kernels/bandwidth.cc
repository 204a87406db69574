// SPDX-License-Identifier: Apache-2.0
#include "kernels/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <vector>

#include "base/check.h"

namespace shoal::kernels {
namespace {

constexpr std::int64_t kGrain = 64 * 1024;
constexpr std::int64_t kLoopIterations = 200'000;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Operations per second of a loop that all threads run, each four times: the best of `repeats`.
template <class Loop>
double loop_rate(CpuExecutor& executor, int repeats, std::int64_t operations, const Loop& loop) {
  const std::int64_t parts = executor.threads() * 4;
  std::atomic<decltype(loop())> sink{0};
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    executor.parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) sink.store(loop(), std::memory_order_relaxed);
    });
    best = std::max(
        best, static_cast<double>(parts * kLoopIterations * operations) / seconds_since(start));
  }
  return best;
}

}  // namespace

double time_read(CpuExecutor& executor, std::span<const float> data) {
  const CpuKernels& kernels = executor.kernels();
  const auto size = static_cast<std::int64_t>(data.size_bytes());
  CHECK(size % kGrain == 0) << size << " bytes";
  std::atomic<float> sink{0};  // keeps the reads
  const auto start = std::chrono::steady_clock::now();
  executor.parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
    sink.store(kernels.read(data.data() + begin / 4, end - begin), std::memory_order_relaxed);
  });
  return seconds_since(start);
}

double measure_read_bandwidth(CpuExecutor& executor, std::int64_t bytes, int repeats) {
  const std::vector<float> buffer(static_cast<std::size_t>(bytes / kGrain * kGrain / 4), 1.0f);
  const auto size = static_cast<double>(buffer.size()) * 4;
  double best = 0;
  for (int i = 0; i < repeats; ++i) best = std::max(best, size / time_read(executor, buffer));
  return best;
}

double measure_copy_bandwidth(Executor& executor, std::int64_t bytes, int repeats) {
  const auto size = static_cast<std::size_t>(bytes);
  const std::optional<Buffer> from = executor.allocate(size), to = executor.allocate(size);
  if (!from || !to) return 0;
  // Several for each reading: a copy of a fast device takes hardly longer than asking for it.
  constexpr int kCopies = 8;
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    executor.synchronize();
    const auto start = std::chrono::steady_clock::now();
    for (int copy = 0; copy < kCopies; ++copy) executor.copy(to->data(), from->data(), size);
    executor.synchronize();
    best = std::max(best, 2.0 * kCopies * static_cast<double>(size) / seconds_since(start));
  }
  return best;
}

double measure_fma_peak(CpuExecutor& executor, int repeats) {
  const CpuKernels& kernels = executor.kernels();
  return loop_rate(executor, repeats, kernels.fma_loop_flops,
                   [&] { return kernels.fma_loop(kLoopIterations, 0.5f); });
}

double measure_int_dot_peak(CpuExecutor& executor, int repeats) {
  const CpuKernels& kernels = executor.kernels();
  return loop_rate(executor, repeats, kernels.integers.dot_loop_ops,
                   [&] { return kernels.integers.dot_loop(kLoopIterations, 3); });
}

}  // namespace shoal::kernels
