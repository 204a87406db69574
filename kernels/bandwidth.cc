// SPDX-License-Identifier: Apache-2.0
#include "kernels/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <vector>

#include "kernels/cpu_executor.h"

namespace shoal::kernels {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double measure_read_bandwidth(Executor& executor, std::int64_t bytes, int repeats) {
  constexpr std::int64_t kGrain = 64 * 1024;
  const CpuKernels& kernels = as_cpu(executor).kernels();
  const std::vector<float> buffer(static_cast<std::size_t>(bytes / kGrain * kGrain / 4), 1.0f);
  const auto size = static_cast<std::int64_t>(buffer.size()) * 4;
  std::atomic<float> sink{0};  // keeps the reads
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    executor.parallel_for(size, kGrain, [&](std::int64_t begin, std::int64_t end) {
      sink.store(kernels.read(buffer.data() + begin / 4, end - begin), std::memory_order_relaxed);
    });
    best = std::max(best, static_cast<double>(size) / seconds_since(start));
  }
  return best;
}

double measure_fma_peak(Executor& executor, int repeats) {
  constexpr std::int64_t kIterations = 200'000;
  const CpuKernels& kernels = as_cpu(executor).kernels();
  const std::int64_t parts = executor.threads() * 4;
  std::atomic<float> sink{0};
  double best = 0;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    executor.parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        sink.store(kernels.fma_loop(kIterations, 0.5f), std::memory_order_relaxed);
      }
    });
    const double flops = static_cast<double>(parts * kIterations * kernels.fma_loop_flops);
    best = std::max(best, flops / seconds_since(start));
  }
  return best;
}

}  // namespace shoal::kernels
